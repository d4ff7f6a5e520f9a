//! JSON objects: a record each, fields by the paths of their members.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::field::{FIELDS, Field, KNOWN};
use super::mapping::{Column, Mapping};
use super::record::{self, NONE};
use crate::text::bytes::ip;
use crate::text::{Fault, Sink, TextFormat};

/// The most parts that a path has.
const PARTS_MAX: usize = 6;

/// Reads records of JSON.
pub(super) struct Json {
    source: &'static str,
    mapping: Mapping,
    paths: Node,
}

impl Json {
    pub(super) fn new(source: &'static str, mapping: Mapping) -> Self {
        let mut paths = Node::default();
        for Column { field, name, rank } in &mapping.columns {
            paths.add(name, *field, *rank);
        }
        if mapping.columns.is_empty() {
            for (field, _, names) in KNOWN {
                for (rank, name) in names.iter().enumerate() {
                    paths.add(name, field, rank);
                }
            }
        }
        Self { source, mapping, paths }
    }

    /// Whether the first object of an input names the addresses of a flow in a way that is known.
    pub(super) fn is_known(head: &[u8]) -> bool {
        let head = head.trim_ascii_start();
        let object = head.strip_prefix(b"[").unwrap_or(head).trim_ascii_start();
        if object.first() != Some(&b'{') {
            return false;
        }
        let json = Self::new("json", Mapping::known());
        let mut found = Found::default();
        let mut first = serde_json::Deserializer::from_slice(object);
        // The head may end within the object: what was found before counts.
        let _ = json.paths.walk(&mut found).deserialize(&mut first);
        let is_address = |field: Field| {
            found.values[field as usize].as_deref().is_some_and(|text| ip(text.as_bytes()).is_some())
        };
        // Names of one word alone are everybody's.
        let well_named =
            [Field::Source, Field::Destination].iter().all(|field| found.ranks[*field as usize] < SURE);
        is_address(Field::Source) && is_address(Field::Destination) && well_named
    }
}

/// The names of an address that are surely a flow's: the canonical one, ECS's, OCSF's and IPFIX's come first in the list.
const SURE: usize = 6;

impl TextFormat for Json {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let mut found = Found::default();
        let mut object = serde_json::Deserializer::from_slice(text);
        self.paths
            .walk(&mut found)
            .deserialize(&mut object)
            .map_err(|error| format!("the record is not JSON: {error}"))?;
        object.end().map_err(|error| format!("the record is not one JSON object: {error}"))?;
        let mut values = NONE;
        for (value, text) in values.iter_mut().zip(&found.values) {
            *value = text.as_deref().unwrap_or_default().as_bytes();
        }
        record::take(&self.mapping, self.source, values, sink)
    }
}

/// The members that matter, as a tree of their paths.
#[derive(Default)]
struct Node {
    members: Vec<(String, Node)>,
    field: Option<(Field, usize)>,
}

impl Node {
    /// Adds a path. Its points may also be part of a member's name: `source.ip` is a member of `source`, or one by that name.
    fn add(&mut self, path: &str, field: Field, rank: usize) {
        if path.matches('.').count() >= PARTS_MAX {
            return self.leaf(path, field, rank);
        }
        for (at, _) in path.match_indices('.') {
            self.member(&path[..at]).add(&path[at + 1..], field, rank);
        }
        self.leaf(path, field, rank);
    }

    fn leaf(&mut self, name: &str, field: Field, rank: usize) {
        let node = self.member(name);
        if node.field.is_none_or(|(_, known)| rank < known) {
            node.field = Some((field, rank));
        }
    }

    fn member(&mut self, name: &str) -> &mut Self {
        let at = self.members.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.members.push((name.to_owned(), Self::default()));
            self.members.len() - 1
        });
        &mut self.members[at].1
    }

    fn get(&self, name: &str) -> Option<&Self> {
        self.members.iter().find(|(known, _)| known == name).map(|(_, node)| node)
    }

    fn walk<'t, 'f, 'a>(&'t self, found: &'f mut Found<'a>) -> Walk<'t, 'f, 'a> {
        Walk { node: self, found }
    }
}

/// What was found in an object.
struct Found<'a> {
    values: [Option<Cow<'a, str>>; FIELDS],
    ranks: [usize; FIELDS],
}

impl Default for Found<'_> {
    fn default() -> Self {
        Self { values: [const { None }; FIELDS], ranks: [usize::MAX; FIELDS] }
    }
}

/// Reads a value, and keeps of it what the tree asks for.
struct Walk<'t, 'f, 'a> {
    node: &'t Node,
    found: &'f mut Found<'a>,
}

impl<'a> Walk<'_, '_, 'a> {
    fn keep(self, text: Cow<'a, str>) {
        let Some((field, rank)) = self.node.field else { return };
        let at = field as usize;
        if rank < self.found.ranks[at] && !text.is_empty() {
            self.found.ranks[at] = rank;
            self.found.values[at] = Some(text);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        self.keep(Cow::Borrowed(text));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.keep(Cow::Owned(text.to_owned()));
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.keep(Cow::Owned(number.to_string()));
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.keep(Cow::Owned(number.to_string()));
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.keep(Cow::Owned(number.to_string()));
        Ok(())
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<(), E> {
        self.keep(Cow::Borrowed(if truth { "true" } else { "false" }));
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    /// Of a list, its first value.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if list.next_element_seed(self)?.is_some() {
            while list.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Name<'de>>()? {
            match self.node.get(&name.0) {
                Some(node) => map.next_value_seed(node.walk(self.found))?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
