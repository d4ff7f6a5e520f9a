//! Times read from bytes. What is not in the usual form is `None`; whoever asks knows what to say about it.

use model::Micros;

use super::bytes::decimal;

/// Seconds with a fraction, as microseconds; digits beyond the sixth are cut off.
pub(crate) fn seconds(text: &[u8]) -> Option<Micros> {
    let at = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let whole = i64::try_from(decimal(&text[..at])?).ok()?;
    let fraction = text.get(at + 1..).unwrap_or_default();
    whole.checked_mul(1_000_000)?.checked_add(micros_of(fraction)?)
}

/// The digits behind a point, as millionths.
fn micros_of(fraction: &[u8]) -> Option<i64> {
    let mut sum = 0;
    for place in 0..fraction.len().max(6) {
        let digit = fraction.get(place).map_or(0, |byte| byte.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        if place < 6 {
            sum = sum * 10 + i64::from(digit);
        }
    }
    Some(sum)
}

/// A date and time, `2026-11-19T08:00:00.5Z` or with an offset (`+0100`, `+01:00`); a space or any other single character
/// may stand for the `T`, and what has no offset is UTC. Years from 1970.
pub(crate) fn date_time(text: &[u8]) -> Option<Micros> {
    let (local, rest) = (text.get(..19)?, &text[19..]);
    let two = |at: usize| digits(&local[at..at + 2]);
    let marks = [local[4], local[7], local[13], local[16]];
    if !matches!(marks, [b'-' | b'/', b'-' | b'/', b':', b':']) {
        return None;
    }
    let at = civil([digits(&local[..4])?, two(5)?, two(8)?, two(11)?, two(14)?, two(17)?])?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.').unwrap_or(rest.len());
    let fraction = match rest[..end].split_first() {
        Some((b'.', fraction)) => micros_of(fraction)?,
        Some(_) => return None,
        None => 0,
    };
    Some(at + fraction - offset(&rest[end..])?)
}

/// The offset of a time zone from UTC, in microseconds.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, digits_of) = match text {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match digits_of.len() {
        2 => (digits(digits_of)?, 0),
        4 => (digits(&digits_of[..2])?, digits(&digits_of[2..])?),
        5 if digits_of[2] == b':' => (digits(&digits_of[..2])?, digits(&digits_of[3..])?),
        _ => return None,
    };
    Some(sign * (hours * 3_600 + minutes * 60) * 1_000_000)
}

fn digits(text: &[u8]) -> Option<i64> {
    decimal(text).and_then(|number| i64::try_from(number).ok())
}

/// Year, month, day, hour, minute and second of UTC, as microseconds since 1970.
pub(crate) fn civil([year, month, day, hour, minute, second]: [i64; 6]) -> Option<Micros> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let sound = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=length).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !sound {
        return None;
    }
    // Days as in the proleptic Gregorian calendar, with years that begin in March, so that a leap day is a year's last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_in_the_form_is_none() {
        let times = [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-19T24:00:00Z",
            "2026-11-19",
            "2026-11-19T08:00:00X",
            "2026-11-19T08:00:00+1",
        ];
        for text in times {
            assert_eq!(date_time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn times_in_their_usual_forms() {
        let eight = 1_763_539_200_000_000;
        for text in [
            "2025-11-19T08:00:00Z",
            "2025/11/19 08:00:00",
            "2025-11-19T09:00:00+0100",
            "2025-11-19T02:30:00.000-05:30",
        ] {
            assert_eq!(date_time(text.as_bytes()), Some(eight), "{text}");
        }
        assert_eq!(date_time(b"2025-11-19T08:00:00.123456789Z"), Some(eight + 123_456));
        assert_eq!(date_time(b"2024-02-29T23:59:59.5+00"), Some(1_709_251_199_500_000));
        assert_eq!(seconds(b"1600000000.25"), Some(1_600_000_000_250_000));
        assert_eq!((seconds(b"3"), seconds(b"3."), seconds(b"")), (Some(3_000_000), Some(3_000_000), None));
    }

    proptest! {
        #[test]
        fn times_are_read_as_the_calendar_does(at in 0_i64..253_402_207_200_000) {
            let text = model::format_time(at * 1_000);
            prop_assert_eq!(date_time(text.as_bytes()), Some(at * 1_000), "{}", text);
        }
    }
}
