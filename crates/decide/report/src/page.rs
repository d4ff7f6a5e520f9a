//! The document around the sections.

use sha2::{Digest, Sha256};

use crate::markup::{Text, moment, put};
use crate::story::StoryOrigin;

const STYLE: &str = include_str!("../assets/report.css");
const SCRIPT: &str = include_str!("../assets/report.js");
const SYMBOLS: &str = include_str!("../assets/symbols.svg");

/// A document in the making.
pub(crate) struct Page {
    title: String,
    origin: String,
    top: String,
    links: String,
    body: String,
}

impl Page {
    pub(crate) fn new(title: &str, origin: &StoryOrigin) -> Self {
        let mut meta = String::new();
        if let Some(at) = origin.generated_at {
            put!(&mut meta, "<span>{} UTC</span>", moment(at));
        }
        if !origin.version.is_empty() {
            put!(&mut meta, "<span>ringfence {}</span>", Text(&origin.version));
        }
        Self {
            title: title.to_owned(),
            origin: meta,
            top: String::new(),
            links: String::new(),
            body: String::new(),
        }
    }

    /// What stands before the first section.
    pub(crate) fn top(&mut self) -> &mut String {
        &mut self.top
    }

    /// Adds a section: its anchor, its name in the navigation, its heading.
    pub(crate) fn section(&mut self, id: &str, name: &str, heading: &str, write: impl FnOnce(&mut String)) {
        put!(&mut self.links, "<a href=\"#{id}\">{name}</a>");
        put!(
            &mut self.body,
            "<section id=\"{id}\" aria-labelledby=\"h-{id}\"><header><p class=\"eyebrow\">{name}</p>"
        );
        put!(&mut self.body, "<h2 id=\"h-{id}\">{heading}</h2></header>");
        write(&mut self.body);
        self.body.push_str("</section>\n");
    }

    pub(crate) fn finish(self) -> String {
        let Self { title, origin, top, links, body } = self;
        let mut out = String::with_capacity(STYLE.len() + SCRIPT.len() + top.len() + body.len() + 4_096);
        out.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
        put!(
            &mut out,
            "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">",
            content_security_policy()
        );
        out.push_str(
            "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><meta \
            name=\"color-scheme\" content=\"light dark\">",
        );
        out.push_str("<meta name=\"referrer\" content=\"no-referrer\"><link rel=\"icon\" href=\"data:,\">");
        put!(&mut out, "<title>{} \u{b7} Ringfence</title><style>{STYLE}</style></head><body>", Text(&title));
        out.push_str("<a class=\"skip\" href=\"#main\">Skip to the report</a>");
        out.push_str(SYMBOLS);
        put!(
            &mut out,
            "<header class=\"bar\"><a class=\"brand\" href=\"#main\"><svg class=\"mark\" viewBox=\"0 0 20 \
                20\" aria-hidden=\"true\"><use href=\"#mark\"/></svg>Ringfence</a>"
        );
        put!(
            &mut out,
            "<nav aria-label=\"Sections\">{links}</nav><div class=\"meta\">{origin}</div></header>\n"
        );
        put!(&mut out, "<main id=\"main\">{top}\n{body}</main>");
        put!(
            &mut out,
            "<footer><span>{}</span><span>Made by Ringfence; this file loads nothing from \
                anywhere.</span></footer>",
            Text(&title)
        );
        put!(&mut out, "<script>{SCRIPT}</script></body></html>\n");
        out
    }
}

fn content_security_policy() -> String {
    let hash = |text: &str| format!("'sha256-{}'", base64(&Sha256::digest(text.as_bytes())));
    format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let value = (word >> (18 - 6 * digit)) & 63;
            text.push(if digit <= chunk.len() { char::from(DIGITS[value as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standard_one() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn nothing_inline_escapes_the_policy() {
        assert!(!STYLE.contains("</style") && !STYLE.contains("@import") && !STYLE.contains("url("));
        assert!(!SCRIPT.contains("</script") && !SCRIPT.contains("innerHTML") && !SCRIPT.contains("eval"));
    }
}
