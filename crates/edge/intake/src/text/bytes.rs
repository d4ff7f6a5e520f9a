//! Values read from bytes, without a detour over text: for formats of which there are very many lines.

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

    proptest! {
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
