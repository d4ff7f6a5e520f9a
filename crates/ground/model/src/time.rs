//! Times as plain integers, and their RFC 3339 text.

use std::fmt;

use jiff::Timestamp;

/// Microseconds since the Unix epoch, UTC.
pub type Micros = i64;

/// A half-open interval of time `[from, to)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Serialize, serde::Deserialize)]
pub struct TimeWindow {
    /// First moment, included.
    pub from: Micros,
    /// Last moment, excluded.
    pub to: Micros,
}

impl TimeWindow {
    /// All of time.
    pub const ALL: Self = Self { from: Micros::MIN, to: Micros::MAX };

    /// Whether the moment lies within.
    pub const fn contains(&self, at: Micros) -> bool {
        self.from <= at && at < self.to
    }
}

/// Text that is neither a time nor a span before now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidTime(pub String);

impl fmt::Display for InvalidTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a time; write RFC 3339 such as `2026-11-20T08:00:00Z`, or a span such as `7d`, `2h`",
            self.0
        )
    }
}
impl std::error::Error for InvalidTime {}

/// Reads RFC 3339, a date (midnight UTC), or a span before `now` such as `7d`, `2h`, `15m`, `30s`.
pub fn parse_time(text: &str, now: Micros) -> Result<Micros, InvalidTime> {
    let invalid = || InvalidTime(text.to_owned());
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_microsecond());
    }
    if let Ok(time) = format!("{text}T00:00:00Z").parse::<Timestamp>() {
        return Ok(time.as_microsecond());
    }
    let unit = text.chars().last().ok_or_else(invalid)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(invalid()),
    };
    let count: i64 =
        text.strip_suffix(unit).and_then(|n| n.parse().ok()).filter(|n| *n >= 0).ok_or_else(invalid)?;
    let span = count.checked_mul(seconds).and_then(|s| s.checked_mul(1_000_000)).ok_or_else(invalid)?;
    now.checked_sub(span).ok_or_else(invalid)
}

/// RFC 3339 in UTC with milliseconds: `2026-11-20T08:00:00.123Z`. Times outside the years 1-9999 print as their
/// nearest bound.
pub fn format_time(at: Micros) -> String {
    let clamped = at.clamp(-62_135_596_800_000_000, 253_402_207_200_000_000);
    match Timestamp::from_microsecond(clamped) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => String::from("0001-01-01T00:00:00.000Z"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip() {
        let at = parse_time("2026-11-20T08:00:00.123Z", 0).unwrap();
        assert_eq!(format_time(at), "2026-11-20T08:00:00.123Z");
        assert_eq!(parse_time("2h", 7_200_000_000).unwrap(), 0);
        assert_eq!(format_time(parse_time("2026-11-20", 0).unwrap()), "2026-11-20T00:00:00.000Z");
        assert_eq!(format_time(0), "1970-01-01T00:00:00.000Z");
        for text in ["", "x", "12", "-3d", "99999999999999999d"] {
            assert!(parse_time(text, 0).is_err(), "{text}");
        }
        let _ = (format_time(Micros::MIN), format_time(Micros::MAX));
    }
}
