//! Names: short, legal in the policy language, unique, and the same on every run.

use std::collections::BTreeSet;

/// Lower case letters, digits, `-`, `.` and `_`; never empty.
pub(crate) fn slug(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') {
            result.push(c);
        } else if !result.ends_with('-') {
            result.push('-');
        }
    }
    let trimmed = result.trim_matches(|c| matches!(c, '-' | '.'));
    if trimmed.is_empty() { String::from("unnamed") } else { trimmed.to_owned() }
}

/// Hands out each name once; the second asker gets `name-2`.
#[derive(Default)]
pub(crate) struct Unique {
    taken: BTreeSet<String>,
}

impl Unique {
    /// With names that others hold already.
    pub(crate) fn with(taken: impl IntoIterator<Item = String>) -> Self {
        Self { taken: taken.into_iter().collect() }
    }

    /// The name, or the name with the least number that makes it unique.
    pub(crate) fn take(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut number = 2_u32;
        while !self.taken.insert(name.clone()) {
            name = format!("{wanted}-{number}");
            number += 1;
        }
        name
    }
}

/// `1 connection`, `840 connections`.
pub(crate) fn count(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_legal_and_unique() {
        assert_eq!(slug("Web Tier (prod)"), "web-tier-prod");
        assert_eq!(slug("!!"), "unnamed");
        let mut names = Unique::with([String::from("a")]);
        assert_eq!([names.take("a"), names.take("a"), names.take("b")], ["a-2", "a-3", "b"]);
    }
}
