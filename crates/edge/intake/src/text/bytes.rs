//! Values read from bytes, without a detour over text: for formats of which there are very many lines.

use model::Micros;
use netset::Ip;

/// A whole number in decimal digits; `None` for anything else, and for what does not fit.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    if text.len() < 20 {
        let mut sum = 0_u64;
        for byte in text {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            sum = sum * 10 + u64::from(digit);
        }
        return Some(sum);
    }
    std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+'))?.parse().ok()
}

/// An address in its usual form. IPv4, which is nearly all there is, is read here; IPv6 by the standard library.
pub(crate) fn ip(text: &[u8]) -> Option<Ip> {
    match ipv4(text) {
        Some(ip) => Some(ip),
        None if text.len() <= 45 => std::str::from_utf8(text).ok()?.parse().ok(),
        None => None,
    }
}

fn ipv4(text: &[u8]) -> Option<Ip> {
    if text.len() > 15 {
        return None;
    }
    let (mut bits, mut part, mut digits, mut dots) = (0_u32, 0_u32, 0_u32, 0_u32);
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            // A leading zero may mean octal: it is nobody's usual form.
            if digits > 0 && part == 0 {
                return None;
            }
            part = part * 10 + u32::from(digit);
            digits += 1;
            if digits > 3 || part > 255 {
                return None;
            }
        } else if *byte == b'.' && digits > 0 {
            bits = bits << 8 | part;
            (part, digits, dots) = (0, 0, dots + 1);
        } else {
            return None;
        }
    }
    (dots == 3 && digits > 0).then(|| Ip::v4(bits << 8 | part))
}

/// A time as RFC 3339 or ISO 8601 writes it, with any fraction, a `T` or a space in the middle, and a zone with or without
/// its colon: `2026-11-19T08:00:00.123456789Z`, `2026-11-19 08:00:00+0100`. Without a zone it is UTC. Microseconds.
pub(crate) fn timestamp(text: &[u8]) -> Option<Micros> {
    let (date_time, rest) = text.split_at_checked(19)?;
    let number = |from: usize, to: usize| decimal(&date_time[from..to]).map(u64::cast_signed);
    let marks = [4, 7, 13, 16].map(|at| date_time[at]);
    if marks != *b"--::" || !matches!(date_time[10], b'T' | b't' | b' ') {
        return None;
    }
    let (month, day) = (number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let sound =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !sound {
        return None;
    }
    let (fraction, zone) = fraction(rest)?;
    let days = days_since_1970(number(0, 4)?, month, day);
    let seconds = (days * 24 + hour) * 3_600 + minute * 60 + second - zone_seconds(zone)?;
    Some(seconds * 1_000_000 + fraction)
}

/// Microseconds behind a point or comma, cut off; and what follows the digits.
fn fraction(text: &[u8]) -> Option<(Micros, &[u8])> {
    let Some(digits) = text.strip_prefix(b".").or_else(|| text.strip_prefix(b",")) else {
        return Some((0, text));
    };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at(length);
    let micros = |sum: i64, digit: &u8| sum * 10 + i64::from(digit - b'0');
    let micros = digits.iter().chain(std::iter::repeat(&b'0')).take(6).fold(0, micros);
    (length > 0).then_some((micros, rest))
}

/// Seconds east of UTC.
fn zone_seconds(zone: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match zone {
        [] | [b'Z' | b'z'] | b" UTC" => return Some(0),
        [sign, a, b, b':', c, d] | [sign, a, b, c, d] => (sign, [*a, *b], [*c, *d]),
        [sign, a, b] => (sign, [*a, *b], [b'0'; 2]),
        _ => return None,
    };
    let seconds = (decimal(&hours)? * 3_600 + decimal(&minutes)? * 60).cast_signed();
    match sign {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

/// Days since 1970-01-01 of a day in the Gregorian calendar: the algorithm of Howard Hinnant's `days_from_civil`.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The text of a value for words, whatever its bytes.
pub(crate) fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(80)]).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_digits_that_fit() {
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(decimal(b"00000000000000000000007"), Some(7));
        for text in ["", "-", "+5", "18446744073709551616", "+0000000000000000000000", "1 ", "1.0"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn times_in_the_forms_that_logs_write() {
        let at = Some(1_600_000_000_123_456);
        for text in [
            "2020-09-13T12:26:40.123456Z",
            "2020-09-13T12:26:40.123456789Z",
            "2020-09-13 12:26:40.123456",
            "2020-09-13 12:26:40.123456 UTC",
            "2020-09-13T14:26:40.123456+0200",
            "2020-09-13T05:56:40,123456-06:30",
            "2020-09-13T14:26:40.123456+02",
        ] {
            assert_eq!(timestamp(text.as_bytes()), at, "{text}");
        }
        for text in [
            "",
            "2020-09-13",
            "2020-13-13T12:26:40Z",
            "2020-09-13T12:26:40.Z",
            "2020-09-13T12:26:40 CET",
            "2020-09-13T1a:26:40Z",
        ] {
            assert_eq!(timestamp(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn times_are_read_as_the_calendar_has_them(at in -60_000_000_000_000_000_i64..250_000_000_000_000_000) {
            let milliseconds = at.div_euclid(1_000) * 1_000;
            prop_assert_eq!(timestamp(model::format_time(milliseconds).as_bytes()), Some(milliseconds));
        }

        #[test]
        fn numbers_and_addresses_are_read_as_the_standard_library_does(
            number in any::<u64>(), v4 in any::<u32>(), v6 in any::<u128>(), text in "[0-9a-f.:]{0,18}",
        ) {
            prop_assert_eq!(decimal(number.to_string().as_bytes()), Some(number));
            let addresses = [std::net::IpAddr::from(std::net::Ipv4Addr::from(v4)), std::net::Ipv6Addr::from(v6).into()];
            for address in addresses {
                prop_assert_eq!(ip(address.to_string().as_bytes()), Some(Ip::from(address)));
            }
            prop_assert_eq!(ip(text.as_bytes()), text.parse::<Ip>().ok());
        }
    }
}
