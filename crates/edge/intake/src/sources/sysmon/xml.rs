//! Events as Windows renders them in XML. They are flat, so they are cut out rather than parsed as documents: elements by
//! their names, values with their entities. Comments and attributes in any quotes are understood; namespaces' prefixes are
//! not, and Windows writes none.

use memchr::memmem::{find, find_iter};

use super::Event;

/// Where the first event begins.
pub(super) fn start(text: &[u8]) -> Option<usize> {
    find_iter(text, b"<Event")
        .find(|at| text.get(at + 6).is_none_or(|next| matches!(next, b' ' | b'>' | b'\r')))
}

/// Behind the end of the first event.
pub(super) fn end(text: &[u8]) -> Option<usize> {
    const END: &[u8] = b"</Event>";
    find(text, END).map(|at| at + END.len())
}

/// The connection of an event 3; `None` for other events.
pub(super) fn event(text: &str) -> Result<Option<Event>, String> {
    let id = element(text, "EventID").ok_or("the event has no `EventID`")?.1;
    if id.trim() != "3" || !text.contains("SourceIp") {
        return Ok(None);
    }
    let mut event = Event {
        host: element(text, "Computer").map(|(_, name)| plain(name)).unwrap_or_default(),
        logged: element(text, "TimeCreated")
            .and_then(|(attributes, _)| attribute(attributes, "SystemTime"))
            .map(plain)
            .unwrap_or_default(),
        ..Event::default()
    };
    let mut rest = text;
    while let Some(found) = cut(rest, "Data") {
        if let Some(name) = attribute(found.attributes, "Name") {
            event.set(name, plain(found.content));
        }
        rest = found.behind;
    }
    Ok(Some(event))
}

/// The attributes and the content of the first element of a name.
fn element<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    cut(text, name).map(|found| (found.attributes, found.content))
}

struct Element<'a> {
    attributes: &'a str,
    content: &'a str,
    /// What comes behind the content.
    behind: &'a str,
}

fn cut<'a>(text: &'a str, name: &str) -> Option<Element<'a>> {
    let bytes = text.as_bytes();
    let mut tags = memchr::memchr_iter(b'<', bytes).filter(|at| bytes[at + 1..].starts_with(name.as_bytes()));
    let at = tags.find(|at| {
        let next = bytes.get(at + 1 + name.len());
        next.is_some_and(|next| next.is_ascii_whitespace() || matches!(next, b'>' | b'/'))
    })?;
    let inner = &text[at + 1 + name.len()..];
    let (attributes, behind) = inner.split_once('>')?;
    if let Some(attributes) = attributes.strip_suffix('/') {
        return Some(Element { attributes, content: "", behind });
    }
    let (content, behind) = behind.split_at(behind.find('<')?);
    Some(Element { attributes, content, behind })
}

/// The value of an attribute, in single or double quotes.
fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let at = attributes.find(name)?;
    let rest = attributes[at + name.len()..].trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    rest[1..].split_once(quote).map(|(value, _)| value)
}

/// Text without its entities.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.trim();
    while let Some((before, behind)) = rest.split_once('&') {
        out.push_str(before);
        let entity = behind.split_once(';').and_then(|(name, after)| Some((character(name)?, after)));
        match entity {
            Some((character, after)) => {
                out.push(character);
                rest = after;
            }
            None => {
                out.push('&');
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_attributes_and_entities() {
        assert_eq!(element("<a><b x='1'>t</b></a>", "b"), Some((" x='1'", "t")));
        assert_eq!(element("<bc/><b/>", "b"), Some(("", "")));
        assert_eq!(element("<b", "b"), None);
        assert_eq!(attribute(" Name = \"x y\"", "Name"), Some("x y"));
        assert_eq!(attribute(" Name='x", "Name"), None);
        assert_eq!(plain(" a &amp; &#x41;&#66; &lt;&nope; & "), "a & AB <&nope; &");
        assert_eq!((start(b"<Events><Event>"), end(b"a</Event>b")), (Some(8), Some(9)));
    }
}
