//! The tags of an XML text with their attributes; what lies between tags is passed over.

/// A tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Tag<'a> {
    /// Its name, with the slash of a closing one before it.
    pub(super) name: &'a str,
    attributes: &'a str,
    /// Whether it closes itself.
    pub(super) empty: bool,
    /// Where it begins, in bytes.
    pub(super) offset: usize,
}

impl Tag<'_> {
    /// An attribute with its entities resolved; empty when there is none.
    pub(super) fn attribute(&self, name: &str) -> String {
        let mut rest = self.attributes;
        while let Some((key, after)) = rest.split_once('=') {
            let after = after.trim_start();
            let Some(quote) = after.chars().next().filter(|c| matches!(c, '"' | '\'')) else { break };
            let Some((value, next)) = after[1..].split_once(quote) else { break };
            if key.trim() == name {
                return unescaped(value);
            }
            rest = next;
        }
        String::new()
    }
}

/// The tags of a text in order. A tag that is not closed ends them, and is told by its offset.
pub(super) fn tags(text: &str) -> (Vec<Tag<'_>>, Option<usize>) {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find('<').map(|n| at + n) {
        let rest = &text[start..];
        let end = if rest.starts_with("<!--") {
            rest.find("-->").map(|n| n + 3)
        } else if rest.starts_with("<![CDATA[") {
            rest.find("]]>").map(|n| n + 3)
        } else {
            close(rest)
        };
        let Some(end) = end else { return (found, Some(start)) };
        at = start + end;
        let inner = &rest[1..end - 1];
        if !inner.starts_with(['!', '?']) {
            let empty = inner.ends_with('/');
            let inner = inner.trim_end_matches('/');
            let (name, attributes) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
            found.push(Tag { name, attributes, empty, offset: start });
        }
    }
    (found, None)
}

/// The end of a tag: a `>` outside of quotes.
fn close(rest: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in rest.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let Some((entity, next)) = after.split_once(';').filter(|(entity, _)| entity.len() <= 8) else {
            plain.push('&');
            rest = after;
            continue;
        };
        let code = entity.strip_prefix("#x").map(|hex| u32::from_str_radix(hex, 16));
        let code = code.or_else(|| entity.strip_prefix('#').map(str::parse)).and_then(Result::ok);
        plain.extend(match entity {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => code.and_then(char::from_u32),
        });
        rest = next;
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_with_their_attributes() {
        let (found, broken) =
            tags("<?xml?><!DOCTYPE a><!-- <b> --><a x='1 > 0' y=\"&lt;&#65;&#x42;&\"/>text</c><d ");
        assert_eq!(found.iter().map(|t| (t.name, t.empty)).collect::<Vec<_>>(), [("a", true), ("/c", false)]);
        assert_eq!(
            (found[0].attribute("x"), found[0].attribute("y"), found[0].attribute("z")),
            ("1 > 0".into(), "<AB&".into(), String::new())
        );
        assert!(broken.is_some());
    }
}
