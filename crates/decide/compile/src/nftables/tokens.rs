//! Words of the nftables language, with their lines.

use super::Misread;

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Word,
    Quoted,
    /// One of `{ } , =`.
    Mark,
    /// End of a line, or `;`.
    End,
}

/// One token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    /// From 1.
    pub line: usize,
}

impl Token<'_> {
    pub(super) fn is(&self, text: &str) -> bool {
        self.text == text && self.kind != Kind::Quoted
    }
}

/// Splits a text. Quoted strings end on their line, as nftables prints them.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Misread> {
    let mut list = Vec::new();
    for (index, content) in text.lines().enumerate() {
        let line = index + 1;
        let mut rest = content.trim_start();
        while let Some(first) = rest.chars().next() {
            let (kind, length, skip) = match first {
                '#' => break,
                '"' => match rest[1..].find('"') {
                    Some(length) => (Kind::Quoted, length, 1),
                    None => {
                        let what = "a quoted string has no end on its line".to_owned();
                        return Err(Misread { line, found: content.trim().to_owned(), what });
                    }
                },
                ';' => (Kind::End, 1, 0),
                '{' | '}' | ',' | '=' => (Kind::Mark, 1, 0),
                '!' if rest.starts_with("!=") => (Kind::Word, 2, 0),
                _ => {
                    let ends = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | ',' | '=' | ';' | '"');
                    (Kind::Word, rest.find(ends).unwrap_or(rest.len()), 0)
                }
            };
            list.push(Token { kind, text: &rest[skip..skip + length], line });
            rest = rest[length + 2 * skip..].trim_start();
        }
        list.push(Token { kind: Kind::End, text: "", line });
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_marks_and_strings() {
        let found: Vec<(Kind, &str)> =
            tokens("a-b != { 1,2 }; log \"x { y\" # z\n").unwrap().iter().map(|t| (t.kind, t.text)).collect();
        use Kind::{End, Mark, Quoted, Word};
        let expected = [
            (Word, "a-b"),
            (Word, "!="),
            (Mark, "{"),
            (Word, "1"),
            (Mark, ","),
            (Word, "2"),
            (Mark, "}"),
            (End, ";"),
            (Word, "log"),
            (Quoted, "x { y"),
            (End, ""),
        ];
        assert_eq!(found, expected);
        assert_eq!(tokens("a\n\"b").unwrap_err().line, 2);
    }
}
