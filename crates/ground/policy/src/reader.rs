//! Turns YAML nodes into fields and values, and collects every problem on the way.

use std::collections::BTreeMap;

use model::{Selector, Service, SourceLocation};

use crate::ast::{Evidence, Peer, PeerTerm, Spanned};
use crate::diagnostic::{Diagnostic, nearest};
use crate::terms;
use crate::yaml::{Node, Value};

/// Collects problems; a value that cannot be read becomes its default, so that reading goes on to the next problem.
#[derive(Default)]
pub(crate) struct Reader {
    pub(crate) problems: Vec<Diagnostic>,
}

/// The fields of one map, each known and there once.
pub(crate) struct Fields<'a> {
    /// What the map is, for messages: `a rule`.
    what: &'static str,
    at: &'a SourceLocation,
    fields: BTreeMap<&'a str, &'a Node>,
}

impl<'a> Fields<'a> {
    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        self.fields.get(key).copied()
    }

    pub(crate) fn at(&self) -> &'a SourceLocation {
        self.at
    }
}

impl Reader {
    pub(crate) fn error(&mut self, at: &SourceLocation, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Diagnostic::error(at.clone(), message).with_help(help));
    }

    /// The fields of a map; reports what is not a map, unknown keys and keys that repeat.
    pub(crate) fn fields<'a>(
        &mut self,
        node: &'a Node,
        what: &'static str,
        known: &[&str],
    ) -> Option<Fields<'a>> {
        let Value::Map(entries) = &node.value else {
            let message = format!("{what} must be a map of keys and values, and this is {}", node.kind());
            self.error(&node.at, message, format!("its keys are {}", listed(known)));
            return None;
        };
        let mut fields = BTreeMap::new();
        for (key, value) in entries {
            let Value::Text(name) = &key.value else {
                self.error(
                    &key.at,
                    "a key must be text",
                    format!("the keys of {what} are {}", listed(known)),
                );
                continue;
            };
            if !known.contains(&name.as_str()) {
                self.unknown_key(&key.at, name, what, known);
            } else if fields.insert(name.as_str(), value).is_some() {
                self.error(&key.at, format!("`{name}` is given twice"), "keep one of the two");
            }
        }
        Some(Fields { what, at: &node.at, fields })
    }

    fn unknown_key(&mut self, at: &SourceLocation, name: &str, what: &str, known: &[&str]) {
        let help = match nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if name.contains('=') => String::from(
                "inside `{..}` a value that holds a comma must be quoted: {from: \"app=a,env=b\"}",
            ),
            None => format!("the keys of {what} are {}", listed(known)),
        };
        self.error(at, format!("{what} has no key `{name}`"), help);
    }

    /// A field that must be there.
    pub(crate) fn required<'a>(&mut self, fields: &Fields<'a>, key: &str, help: &str) -> Option<&'a Node> {
        let found = fields.get(key).filter(|node| !matches!(node.value, Value::Null));
        if found.is_none() {
            let at = fields.get(key).map_or(fields.at, |node| &node.at);
            self.error(at, format!("{} lacks `{key}`", fields.what), help);
        }
        found
    }

    /// A required text that says something.
    pub(crate) fn required_text(&mut self, fields: &Fields<'_>, key: &str, help: &str) -> Spanned<String> {
        match self.required(fields, key, help) {
            Some(node) => self.text(node, key),
            None => Spanned { value: String::new(), at: fields.at.clone() },
        }
    }

    pub(crate) fn optional_text(&mut self, fields: &Fields<'_>, key: &str) -> Option<Spanned<String>> {
        let node = fields.get(key).filter(|node| !matches!(node.value, Value::Null))?;
        Some(self.text(node, key))
    }

    /// A text with a letter or more in it.
    pub(crate) fn text(&mut self, node: &Node, key: &str) -> Spanned<String> {
        let value = match &node.value {
            Value::Text(text) if !text.trim().is_empty() => text.clone(),
            Value::Text(_) | Value::Null => {
                self.error(&node.at, format!("`{key}` is empty"), format!("write a value for `{key}`"));
                String::new()
            }
            _ => {
                let message = format!("`{key}` must be text, and this is {}", node.kind());
                self.error(&node.at, message, format!("write one value: `{key}: ..`"));
                String::new()
            }
        };
        Spanned { value, at: node.at.clone() }
    }

    /// The items of a list; nothing is an empty list.
    pub(crate) fn items<'a>(&mut self, fields: &Fields<'a>, key: &str) -> &'a [Node] {
        match fields.get(key).map(|node| (node, &node.value)) {
            None | Some((_, Value::Null)) => &[],
            Some((_, Value::List(items))) => items,
            Some((node, _)) => {
                let message = format!("`{key}` must be a list, and this is {}", node.kind());
                self.error(&node.at, message, "start each item with `- `");
                &[]
            }
        }
    }

    /// The items of a list, or one value in its place.
    pub(crate) fn one_or_many<'a>(&mut self, node: &'a Node) -> &'a [Node] {
        match &node.value {
            Value::List(items) => items,
            _ => std::slice::from_ref(node),
        }
    }

    /// The side of a rule: a term or a list of them.
    pub(crate) fn peer(&mut self, fields: &Fields<'_>, key: &str) -> Peer {
        let help =
            "name it: a selector such as `role=web`, `segment:NAME`, `cidr:10.0.0.0/8`, `internet` or `any`";
        let Some(node) = self.required(fields, key, help) else { return Peer::new() };
        self.terms(node, key)
    }

    /// The terms of a peer that is there; an empty list is refused, since it would name nobody.
    pub(crate) fn terms(&mut self, node: &Node, key: &str) -> Peer {
        let items = self.one_or_many(node);
        if items.is_empty() {
            let help = match key {
                "except" => "write a selector, or remove `except`",
                _ => "write a selector such as `role=web`, or `any`",
            };
            self.error(&node.at, format!("`{key}` is empty"), help);
        }
        items.iter().filter_map(|item| self.term(item, key)).collect()
    }

    fn term(&mut self, node: &Node, key: &str) -> Option<Spanned<PeerTerm>> {
        let before = self.problems.len();
        let text = self.text(node, key);
        if self.problems.len() > before {
            return None;
        }
        match terms::peer_term(&text.value) {
            Ok(value) => Some(Spanned { value, at: text.at }),
            Err(problem) => {
                self.bad_term(node, 0, problem);
                None
            }
        }
    }

    /// Reports a term that cannot be read, at its column where that is known. `offset` counts characters.
    pub(crate) fn bad_term(&mut self, node: &Node, offset: usize, problem: terms::BadTerm) {
        let mut at = node.at.clone();
        if node.verbatim {
            at.column = at.column.saturating_add(u32::try_from(offset + problem.offset).unwrap_or(0));
        }
        self.problems.push(Diagnostic::error(at, problem.message).with_help(problem.help));
    }

    pub(crate) fn selector(&mut self, node: &Node, key: &str) -> Option<Spanned<Selector>> {
        let term = self.term(node, key)?;
        match term.value {
            PeerTerm::Labels(value) => Some(Spanned { value, at: term.at }),
            _ => {
                let message = format!("`{key}` must be a label selector");
                self.error(&node.at, message, "write it as `app=payments,env=prod`");
                None
            }
        }
    }

    /// `ports`: a service or a list of them; absent means every service, an empty list is refused.
    pub(crate) fn ports(&mut self, fields: &Fields<'_>) -> Vec<Spanned<Service>> {
        let Some(node) = fields.get("ports") else { return Vec::new() };
        let items = self.one_or_many(node);
        if items.is_empty() || matches!(node.value, Value::Null) {
            self.error(
                &node.at,
                "`ports` is empty",
                "list services such as `tcp/443`, or remove `ports` for all",
            );
            return Vec::new();
        }
        items.iter().filter_map(|item| self.port(item)).collect()
    }

    fn port(&mut self, node: &Node) -> Option<Spanned<Service>> {
        let before = self.problems.len();
        let text = self.text(node, "ports");
        if self.problems.len() > before {
            return None;
        }
        match terms::service(&text.value) {
            Ok(value) => Some(Spanned { value, at: text.at }),
            Err(problem) => {
                self.bad_term(node, 0, problem);
                None
            }
        }
    }

    pub(crate) fn evidence(&mut self, fields: &Fields<'_>) -> Option<Evidence> {
        let node = fields.get("evidence").filter(|node| !matches!(node.value, Value::Null))?;
        let known = ["flows", "days", "last_seen", "confidence", "clients", "servers", "visibility"];
        let fields = self.fields(node, "evidence", &known)?;
        Some(Evidence {
            flows: self.count(&fields, "flows").unwrap_or(0),
            days: self.count(&fields, "days").unwrap_or(0),
            last_seen: self.optional_text(&fields, "last_seen").map(|text| text.value),
            confidence: self.fraction(&fields, "confidence"),
            clients: self.count(&fields, "clients"),
            servers: self.count(&fields, "servers"),
            visibility: self.fraction(&fields, "visibility"),
        })
    }

    fn count<T: std::str::FromStr>(&mut self, fields: &Fields<'_>, key: &str) -> Option<T> {
        let text = self.optional_text(fields, key).filter(|text| !text.value.is_empty())?;
        let count = text.value.parse().ok();
        if count.is_none() {
            let message = format!("`{}` is not a count", text.value);
            self.error(&text.at, message, format!("write `{key}` as a whole number"));
        }
        count
    }

    /// A number from 0 to 1.
    pub(crate) fn fraction(&mut self, fields: &Fields<'_>, key: &str) -> Option<f64> {
        let text = self.optional_text(fields, key).filter(|text| !text.value.is_empty())?;
        let value = text.value.parse().ok().filter(|value| (0.0..=1.0).contains(value));
        if value.is_none() {
            let message = format!("`{}` is not a number from 0 to 1", text.value);
            self.error(&text.at, message, format!("write `{key}` as a fraction such as `0.98`"));
        }
        value
    }
}

/// Names in backticks with commas.
pub(crate) fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
