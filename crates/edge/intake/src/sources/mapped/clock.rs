//! How moments are written.

use model::Micros;

use crate::text::bytes::{decimal, shown};
use crate::text::times::{civil, date_time};

/// How moments are written, and where.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    pub(super) format: TimeFormat,
    pub(super) zone: Zone,
}

/// How a moment is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum TimeFormat {
    /// Told by each value: a number by its size, or a date and time.
    #[default]
    Auto,
    /// A date and time as RFC 3339 has it, also with a space, or without a zone.
    DateTime,
    /// A number since 1970 in a unit of so many to the second.
    Since1970(u32),
    /// A pattern like `%d/%b/%Y:%H:%M:%S`.
    Pattern(Vec<u8>),
}

/// How far local time is ahead of UTC, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Zone(i64);

impl Zone {
    pub(super) fn of(text: &str) -> Result<Self, String> {
        if text == "UTC" || text == "Z" {
            return Ok(Self(0));
        }
        let local = date_time(format!("2000-01-01T00:00:00{text}").as_bytes());
        let base = date_time(b"2000-01-01T00:00:00Z");
        match (local, base) {
            (Some(local), Some(base)) if text.starts_with(['+', '-']) => Ok(Self(base - local)),
            _ => Err(format!("`{text}` is not a zone; expected `UTC` or an offset like `+01:00`")),
        }
    }
}

/// Stands before microseconds since 1970 that came as a typed moment, whatever form text would have.
pub(super) const TYPED: &[u8] = b"\x01@";

const MONTHS: [&[u8; 3]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];

impl TimeFormat {
    pub(super) fn of(text: &str) -> Result<Self, String> {
        Ok(match text {
            "auto" => Self::Auto,
            "rfc3339" => Self::DateTime,
            "seconds" => Self::Since1970(1),
            "milliseconds" => Self::Since1970(1_000),
            "microseconds" => Self::Since1970(1_000_000),
            "nanoseconds" => Self::Since1970(1_000_000_000),
            pattern if pattern.contains('%') => {
                let mut rest = pattern.as_bytes();
                while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
                    if !rest.get(at + 1).is_some_and(|letter| b"YymdeHMSbfz%".contains(letter)) {
                        return Err(format!(
                            "`{pattern}` has a part that is not known; expected %Y %y %m %d %e %b %H %M %S %f %z"
                        ));
                    }
                    rest = &rest[at + 2..];
                }
                Self::Pattern(pattern.as_bytes().to_vec())
            }
            other => {
                return Err(format!(
                    "`{other}` is not a form of time; expected `auto`, `rfc3339`, `seconds`, `milliseconds`, \
                     `microseconds`, `nanoseconds` or a pattern like `%d/%b/%Y %H:%M:%S`"
                ));
            }
        })
    }
}

impl Clock {
    /// Reads a moment.
    pub(super) fn read(&self, text: &[u8]) -> Result<Micros, String> {
        if let Some(micros) = text.strip_prefix(TYPED) {
            return decimal(micros)
                .and_then(|micros| i64::try_from(micros).ok())
                .ok_or_else(|| format!("`{}` is not a time", shown(text)));
        }
        let found = match &self.format {
            TimeFormat::Auto => self.auto(text),
            TimeFormat::DateTime => self.date_time(text),
            TimeFormat::Since1970(unit) => since_1970(text, *unit),
            TimeFormat::Pattern(pattern) => self.pattern(pattern, text),
        };
        found.ok_or_else(|| format!("`{}` is not a time in the form that was said", shown(text)))
    }

    fn auto(&self, text: &[u8]) -> Option<Micros> {
        let whole = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = whole == text.len() || text.get(whole) == Some(&b'.');
        if !number || whole == 0 {
            return self.date_time(text);
        }
        // Until the year 5138 in each unit; before 1973 the next smaller one is meant.
        let unit = match whole {
            0..=11 => 1,
            12..=14 => 1_000,
            15..=17 => 1_000_000,
            _ => 1_000_000_000,
        };
        since_1970(text, unit)
    }

    fn date_time(&self, text: &[u8]) -> Option<Micros> {
        let text = text.strip_suffix(b" UTC").map_or(text, |text| text);
        let zoned = text.get(19..).is_some_and(|rest| rest.iter().any(|byte| b"Zz+-".contains(byte)));
        Some(date_time(text)? - if zoned { 0 } else { self.zone.0 })
    }

    fn pattern(&self, pattern: &[u8], mut text: &[u8]) -> Option<Micros> {
        let (mut parts, mut fraction, mut zone) = ([1970, 1, 1, 0, 0, 0], 0, self.zone.0);
        let mut letters = pattern.iter();
        while let Some(letter) = letters.next() {
            if *letter != b'%' {
                text = text.strip_prefix(&[*letter])?;
                continue;
            }
            match letters.next()? {
                b'Y' => parts[0] = digits(&mut text, 4)?,
                b'y' => parts[0] = 2_000 + digits(&mut text, 2)?,
                b'm' => parts[1] = digits(&mut text, 2)?,
                b'd' | b'e' => parts[2] = digits(&mut text, 2)?,
                b'H' => parts[3] = digits(&mut text, 2)?,
                b'M' => parts[4] = digits(&mut text, 2)?,
                b'S' => parts[5] = digits(&mut text, 2)?,
                b'b' => {
                    let name = text.split_off(..3)?;
                    let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
                    parts[1] = month as i64 + 1;
                }
                b'f' => {
                    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
                    let micros = text[..length].iter().chain(std::iter::repeat(&b'0')).take(6);
                    fraction = micros.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
                    text = &text[length..];
                }
                b'z' => {
                    zone = Zone::of(std::str::from_utf8(text).ok()?).ok()?.0;
                    text = &[];
                }
                _ => text = text.strip_prefix(b"%")?,
            }
        }
        text.is_empty().then_some(civil(parts)? + fraction - zone)
    }
}

/// Up to so many digits, after spaces that fill them up.
fn digits(text: &mut &[u8], most: usize) -> Option<i64> {
    let trimmed = text.trim_ascii_start();
    let length = trimmed.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = trimmed.split_at(length);
    *text = rest;
    decimal(number).map(u64::cast_signed)
}

/// A number of units since 1970, with a fraction.
fn since_1970(text: &[u8], unit: u32) -> Option<Micros> {
    let at = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let whole = i128::from(decimal(&text[..at])?);
    let micros = whole * 1_000_000 / i128::from(unit);
    let fraction = text.get(at + 1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().chain(std::iter::repeat(&b'0')).take(6);
    let below = digits.fold(0, |sum: i128, digit| sum * 10 + i128::from(digit - b'0')) / i128::from(unit);
    i64::try_from(micros + below).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_in_many_forms() {
        for (format, zone, text, expected) in [
            ("auto", "UTC", "1600000000", Some(1_600_000_000_000_000)),
            ("auto", "UTC", "1600000000.25", Some(1_600_000_000_250_000)),
            ("auto", "UTC", "1600000000123", Some(1_600_000_000_123_000)),
            ("auto", "UTC", "1600000000123456", Some(1_600_000_000_123_456)),
            ("auto", "UTC", "1600000000123456789", Some(1_600_000_000_123_456)),
            ("auto", "+02:00", "2020-09-13 14:26:40", Some(1_600_000_000_000_000)),
            ("auto", "+02:00", "2020-09-13T12:26:40Z", Some(1_600_000_000_000_000)),
            ("auto", "UTC", "2020-09-13 12:26:40.5 UTC", Some(1_600_000_000_500_000)),
            ("seconds", "UTC", "1600000000123", Some(1_600_000_000_123_000_000)),
            ("milliseconds", "UTC", "1600000000000.5", Some(1_600_000_000_000_500)),
            ("rfc3339", "UTC", "1600000000", None),
            ("%d/%b/%Y:%H:%M:%S %z", "UTC", "13/Sep/2020:14:26:40 +0200", Some(1_600_000_000_000_000)),
            ("%m/%d/%y %H:%M:%S.%f", "-05:00", "9/13/20 07:26:40.25", Some(1_600_000_000_250_000)),
            ("%Y%m%d%H%M%S", "UTC", "20200913122640", Some(1_600_000_000_000_000)),
            ("%Y%m%d", "UTC", "20200913x", None),
            ("%b %e %H:%M:%S %Y", "UTC", "Sep  3 00:00:00 2020", Some(1_599_091_200_000_000)),
        ] {
            let clock = Clock { format: TimeFormat::of(format).unwrap(), zone: Zone::of(zone).unwrap() };
            assert_eq!(clock.read(text.as_bytes()).ok(), expected, "{format} {zone} {text}");
        }
        assert!(TimeFormat::of("%Q").is_err() && TimeFormat::of("iso").is_err() && Zone::of("CET").is_err());
    }
}
