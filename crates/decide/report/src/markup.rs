//! Text into HTML, and numbers into text.

use std::fmt;

use model::{Micros, SourceLocation, format_time};

/// Appends formatted text to a `String`, which cannot fail.
macro_rules! put {
    ($out:expr, $($argument:tt)*) => {{
        let _ = ::std::fmt::Write::write_fmt(&mut *$out, format_args!($($argument)*));
    }};
}
pub(crate) use put;

/// Text from outside, escaped for element content and for quoted attributes.
///
/// Control characters and the marks that reorder text become U+FFFD: a name must not be able to disguise
/// itself.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => fmt::Write::write_char(f, honest(c))?,
            }
        }
        Ok(())
    }
}

const fn honest(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => '\u{fffd}',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    }
}

/// Text from outside without what could disguise it, for places that escape by themselves.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(honest).collect()
}

/// Text cut to a number of characters, with an ellipsis when something was cut.
pub(crate) fn shorten(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    let kept: String = text.chars().take(characters.saturating_sub(1)).collect();
    format!("{}\u{2026}", kept.trim_end())
}

/// `12,408`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12.4k`: three figures and a unit.
pub(crate) fn compact(n: u64) -> String {
    scaled(n, 1000, &["", "k", "M", "G", "T", "P", "E"])
}

/// `1.2 MB`.
pub(crate) fn bytes(n: u64) -> String {
    scaled(n, 1000, &[" B", " kB", " MB", " GB", " TB", " PB", " EB"])
}

fn scaled(n: u64, base: u64, units: &[&str]) -> String {
    let mut scale = 1_u64;
    let mut unit = 0;
    while n / scale >= base && unit + 1 < units.len() {
        scale *= base;
        unit += 1;
    }
    let value = n as f64 / scale as f64;
    let name = units[unit];
    if unit == 0 || value >= 99.95 { format!("{value:.0}{name}") } else { format!("{value:.1}{name}") }
}

/// A share as percent with one decimal. Never rounds up to 100 % nor down to 0 %: those mean all and none.
pub(crate) fn percent(share: f64) -> String {
    if !share.is_finite() {
        return String::from("unknown");
    }
    let value = share * 100.0;
    match value {
        v if v >= 100.0 => String::from("100%"),
        v if v > 99.95 => String::from(">99.9%"),
        v if v <= 0.0 => String::from("0%"),
        v if v < 0.05 => format!("{v:.3}%"),
        v => format!("{v:.1}%"),
    }
}

/// A measure of confidence or likeness as whole percent.
pub(crate) fn degree(share: f64) -> String {
    if share.is_finite() {
        format!("{:.0}%", (share * 100.0).clamp(0.0, 100.0))
    } else {
        String::from("unknown")
    }
}

/// `2026-11-20 08:00:00`, UTC.
pub(crate) fn moment(at: Micros) -> String {
    let text = format_time(at);
    text.get(..19).unwrap_or(&text).replacen('T', " ", 1)
}

/// `08:00:00`, UTC.
pub(crate) fn clock(at: Micros) -> String {
    moment(at).get(11..).unwrap_or_default().to_owned()
}

/// `15 min`.
pub(crate) fn span(from: Micros, to: Micros) -> String {
    let seconds = to.saturating_sub(from).max(0) / 1_000_000;
    match seconds {
        s if s < 120 => format!("{s} s"),
        s if s < 7_200 => format!("{} min", s / 60),
        s if s < 172_800 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    }
}

/// `2026-11-20 08:00:00 to 08:15:00`: the day once when both are on it.
pub(crate) fn window(from: Micros, to: Micros) -> String {
    let (from, to) = (moment(from), moment(to));
    match (from.get(..11), to.strip_prefix(from.get(..11).unwrap_or("-"))) {
        (Some(_), Some(time)) => format!("{from} to {time}"),
        _ => format!("{from} to {to}"),
    }
}

/// `1 rule`, `2 rules`.
pub(crate) fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// `file:line`, as people paste it into an editor.
pub(crate) fn place(location: &SourceLocation) -> String {
    format!("{}:{}", location.file, location.line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(compact(999), "999");
        assert_eq!(compact(12_408), "12.4k");
        assert_eq!(compact(u64::MAX), "18.4E");
        assert_eq!(bytes(1_250_000), "1.2 MB");
        assert_eq!(percent(0.999_9), ">99.9%");
        assert_eq!(percent(1.0), "100%");
        assert_eq!(percent(0.000_01), "0.001%");
        assert_eq!(percent(f64::NAN), "unknown");
        assert_eq!((degree(0.934), degree(f64::INFINITY)), ("93%".into(), "unknown".into()));
        assert_eq!(span(0, 900_000_000), "15 min");
        assert_eq!(moment(0), "1970-01-01 00:00:00");
        assert_eq!(clock(0), "00:00:00");
        assert_eq!(window(0, 60_000_000), "1970-01-01 00:00:00 to 00:01:00");
        assert_eq!(window(0, 90_000_000_000), "1970-01-01 00:00:00 to 1970-01-02 01:00:00");
        assert_eq!(shorten("workstations", 6), "works\u{2026}");
    }

    #[test]
    fn text_is_harmless() {
        let text = Text("<script>alert('x\"&')</script>\u{202e}\u{7}").to_string();
        assert_eq!(text, "&lt;script&gt;alert(&#39;x&quot;&amp;&#39;)&lt;/script&gt;\u{fffd}\u{fffd}");
    }
}
