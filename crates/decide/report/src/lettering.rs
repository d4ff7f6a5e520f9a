//! How wide text will be, without asking a font.

/// Width of text in a common sans-serif at a size, in the size's unit: close enough to break lines by.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(|c| ems(c) * size).sum()
}

const fn ems(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.29,
        'f' | 't' | 'r' | ' ' | '-' | '/' | '(' | ')' => 0.38,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.9,
        'A'..='Z' | '\u{2026}' => 0.72,
        '\0'..='\u{24f}' => 0.59,
        _ => 1.0,
    }
}

/// Breaks a name once, at a space or mark near the end of the line, and shortens what is still too long.
pub(crate) fn two_lines(name: &str, room: f64, size: f64) -> (String, Option<String>) {
    let fits = fitting(name, room, size);
    if fits == name.len() {
        return (name.to_owned(), None);
    }
    let mark = |c: char| matches!(c, ' ' | '-' | '/' | '_' | '.' | ',');
    let at = name[..fits].rfind(mark).map_or(fits, |at| at + 1);
    let rest = name[at..].trim_start();
    let kept = fitting(rest, room, size);
    if kept == rest.len() {
        return (name[..at].trim_end().to_owned(), Some(rest.to_owned()));
    }
    let kept = fitting(rest, room - width("\u{2026}", size), size);
    (name[..at].trim_end().to_owned(), Some(format!("{}\u{2026}", rest[..kept].trim_end())))
}

/// How many bytes of the text fit, at least its first character.
fn fitting(text: &str, room: f64, size: f64) -> usize {
    let mut used = 0.0;
    for (at, c) in text.char_indices() {
        used += ems(c) * size;
        if used > room && at > 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_break_where_people_would() {
        assert_eq!(two_lines("web", 122.0, 12.5), ("web".into(), None));
        assert_eq!(
            two_lines("postgres database servers", 122.0, 12.5),
            ("postgres database".into(), Some("servers".into()))
        );
        let (first, second) = two_lines(&"x".repeat(60), 122.0, 12.5);
        assert!(first.len() == 16 && second.unwrap().ends_with('\u{2026}'));
    }

    proptest! {
        #[test]
        fn lines_fit(name in ".{0,60}") {
            let (first, second) = two_lines(&name, 122.0, 12.5);
            for line in std::iter::once(first).chain(second) {
                prop_assert!(width(&line, 12.5) <= 123.0);
            }
        }
    }
}
