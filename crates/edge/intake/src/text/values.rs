//! Values that many text formats write alike.

use model::Micros;
use netset::Ip;

/// A port.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("`{text}` is not a port"))
}

/// An address that has to be there.
pub(crate) fn address(text: Option<&str>, name: &str) -> Result<Ip, String> {
    let text = text.ok_or_else(|| format!("the record has no `{name}`"))?;
    text.parse::<Ip>().map_err(|error| error.to_string())
}

/// The number of a protocol by its number or by its usual name, whatever the case. `icmp` is that of the address's family.
pub(crate) fn protocol(text: &str, src: Ip) -> Option<u8> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    Some(match text.to_ascii_lowercase().as_str() {
        "tcp" => 6,
        "udp" => 17,
        "icmp" if src.is_v4() => 1,
        "icmp" | "icmp6" | "icmpv6" | "ipv6-icmp" | "icmp-v6" => 58,
        "igmp" => 2,
        "sctp" => 132,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "ospf" => 89,
        "pim" => 103,
        "vrrp" => 112,
        "ipip" | "ipv4" => 4,
        "ipv6" => 41,
        "dccp" => 33,
        "udplite" => 136,
        _ => return None,
    })
}

/// Seconds since the epoch with a fraction, as microseconds, exactly; also with an exponent, as some JSON writers do.
pub(crate) fn seconds(text: &str) -> Option<Micros> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) {
        let seconds: f64 = text.parse().ok()?;
        return seconds.is_finite().then_some((seconds * 1e6).round() as i64);
    }
    let micros: i64 = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(6)
        .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)
}
