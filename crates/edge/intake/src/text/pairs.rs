//! `key=value key="a value"`, as firewalls write.

/// The pairs of a text, in their order. A value in quotes is without them; what is escaped in it stays so. Words without
/// an equals sign are passed over.
pub(crate) struct Pairs<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let text = self.0.trim_ascii_start();
            if text.is_empty() {
                return None;
            }
            let end = text.iter().position(|byte| matches!(byte, b'=' | b' ')).unwrap_or(text.len());
            let (key, rest) = text.split_at(end);
            let Some(rest) = rest.strip_prefix(b"=") else {
                self.0 = rest;
                continue;
            };
            let (value, after) = match rest.strip_prefix(b"\"") {
                Some(quoted) => {
                    let end = closing(quoted);
                    (&quoted[..end], quoted.get(end + 1..).unwrap_or_default())
                }
                None => rest.split_at(rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len())),
            };
            self.0 = after;
            return Some((key, value));
        }
    }
}

/// Where a quoted value ends.
fn closing(text: &[u8]) -> usize {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_found_whatever_is_between() {
        let text = br#"date=2020-01-01  junk a="x y" b="q\"r" c= d="open"#;
        let pairs: Vec<(&[u8], &[u8])> = Pairs(text).collect();
        let expected: [(&[u8], &[u8]); 5] =
            [(b"date", b"2020-01-01"), (b"a", b"x y"), (b"b", br#"q\"r"#), (b"c", b""), (b"d", b"open")];
        assert_eq!(pairs, expected);
    }
}
