//! Label selectors, as in kubectl.

use std::fmt;
use std::str::FromStr;

use crate::inventory::Labels;

/// One condition on a label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Requirement {
    /// `key=value` or `key in (a,b)`: the label is there and has one of the values (sorted).
    In(String, Vec<String>),
    /// `key!=value` or `key notin (a,b)`: the label is absent or has none of the values (sorted).
    NotIn(String, Vec<String>),
    /// `key`: the label is there.
    Exists(String),
    /// `!key`: the label is absent.
    Absent(String),
    /// `key=*`: any value or none. In a scope's rule it lifts what the scope says of the key.
    Any(String),
}

impl Requirement {
    /// The label's key.
    pub fn key(&self) -> &str {
        match self {
            Self::In(key, _)
            | Self::NotIn(key, _)
            | Self::Exists(key)
            | Self::Absent(key)
            | Self::Any(key) => key,
        }
    }

    /// Whether the labels fulfil it.
    pub fn matches(&self, labels: &Labels) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|v| !values.contains(v)),
            Self::Exists(key) => labels.contains_key(key),
            Self::Absent(key) => !labels.contains_key(key),
            Self::Any(_) => true,
        }
    }
}

/// A conjunction of requirements, as written; the empty one matches everything.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Selector {
    /// All must hold.
    pub requirements: Vec<Requirement>,
}

impl Selector {
    /// Whether the labels fulfil every requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|r| r.matches(labels))
    }

    /// This selector with the scope's requirements added for every key that it does not mention itself.
    pub fn within(&self, scope: &Self) -> Self {
        let mentions = |key: &str| self.requirements.iter().any(|r| r.key() == key);
        let inherited = scope.requirements.iter().filter(|r| !mentions(r.key())).cloned();
        Self { requirements: inherited.chain(self.requirements.iter().cloned()).collect() }
    }
}

/// Text that is not a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSelector {
    /// The whole text.
    pub text: String,
    /// Byte offset of what is wrong.
    pub offset: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

impl fmt::Display for InvalidSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a selector: {} at column {}; write `app=payments,role in (web,api),env!=dev`",
            self.text,
            self.problem,
            self.offset + 1
        )
    }
}
impl std::error::Error for InvalidSelector {}

impl FromStr for Selector {
    type Err = InvalidSelector;
    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        let mut requirements = Vec::new();
        let mut start = 0;
        let mut depth = 0_u32;
        let pieces = text.char_indices().chain([(text.len(), ',')]);
        for (at, c) in pieces {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                ',' if depth == 0 || at == text.len() => {
                    let piece = &text[start..at];
                    let fail = |problem| InvalidSelector { text: text.to_owned(), offset: start, problem };
                    requirements.push(requirement(piece.trim()).map_err(fail)?);
                    start = at + 1;
                }
                _ => {}
            }
        }
        Ok(Self { requirements })
    }
}

fn requirement(piece: &str) -> Result<Requirement, &'static str> {
    let key = |text: &str| -> Result<String, &'static str> {
        let text = text.trim();
        let legal = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        if text.is_empty() {
            Err("a label key is missing")
        } else if text.chars().all(legal) {
            Ok(text.to_owned())
        } else {
            Err("a label key may hold letters, digits and `-_./`")
        }
    };
    let value = |text: &str| -> Result<String, &'static str> {
        let text = text.trim();
        let illegal = |c: char| matches!(c, '(' | ')' | ',' | '=' | '!' | '*') || c.is_whitespace();
        if text.is_empty() || text.contains(illegal) {
            Err("a label value is malformed")
        } else {
            Ok(text.to_owned())
        }
    };
    let listed = |rest: &str| -> Result<Vec<String>, &'static str> {
        let inner =
            rest.trim().strip_prefix('(').and_then(|r| r.strip_suffix(')')).ok_or("expected `(a,b)`")?;
        let mut values = inner.split(',').map(value).collect::<Result<Vec<_>, _>>()?;
        values.sort_unstable();
        values.dedup();
        Ok(values)
    };
    if let Some((left, right)) = piece.split_once("!=") {
        return Ok(Requirement::NotIn(key(left)?, vec![value(right)?]));
    }
    if let Some((left, right)) = piece.split_once("==").or_else(|| piece.split_once('=')) {
        let name = key(left)?;
        return if right.trim() == "*" {
            Ok(Requirement::Any(name))
        } else {
            Ok(Requirement::In(name, vec![value(right)?]))
        };
    }
    if let Some((left, right)) = piece
        .split_once(" notin ")
        .or_else(|| piece.split_once(" notin(").map(|(l, _)| (l, &piece[l.len() + 6..])))
    {
        return Ok(Requirement::NotIn(key(left)?, listed(right)?));
    }
    if let Some((left, right)) =
        piece.split_once(" in ").or_else(|| piece.split_once(" in(").map(|(l, _)| (l, &piece[l.len() + 3..])))
    {
        return Ok(Requirement::In(key(left)?, listed(right)?));
    }
    match piece.strip_prefix('!') {
        Some(rest) => Ok(Requirement::Absent(key(rest)?)),
        None => Ok(Requirement::Exists(key(piece)?)),
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match requirement {
                Requirement::In(key, values) if values.len() == 1 => write!(f, "{key}={}", values[0])?,
                Requirement::In(key, values) => write!(f, "{key} in ({})", values.join(","))?,
                Requirement::NotIn(key, values) if values.len() == 1 => write!(f, "{key}!={}", values[0])?,
                Requirement::NotIn(key, values) => write!(f, "{key} notin ({})", values.join(","))?,
                Requirement::Exists(key) => f.write_str(key)?,
                Requirement::Absent(key) => write!(f, "!{key}")?,
                Requirement::Any(key) => write!(f, "{key}=*")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_print_as_they_parse() {
        for text in
            ["app=payments,env=prod", "role in (api,web)", "role notin (a,b),!x,y", "env!=dev", "role=*"]
        {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
        for text in ["", "a=b,", "a=", "=b", "a in b", "a in (", "a=b c", "a b"] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_scope_lends_the_keys_that_are_omitted() {
        let scope: Selector = "app=payments,env=prod".parse().unwrap();
        let rule: Selector = "app=*,role=web".parse().unwrap();
        let labels = |text: &str| -> Labels {
            text.split(',').filter_map(|p| p.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect()
        };
        assert!(rule.within(&scope).matches(&labels("app=other,env=prod,role=web")));
        assert!(!rule.within(&scope).matches(&labels("app=payments,env=dev,role=web")));
    }
}
