//! JSON: an array of objects, an object that holds such an array, or one object a line.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::problem::{Fault, Flaw};
use crate::row::{Address, Cell, Column, Place, Row, check_columns, legal_key, line_starts};

/// Keys under which an object may hold the list.
const LISTS: [&str; 5] = ["workloads", "assets", "hosts", "inventory", "items"];

/// The rows of a text that is not blank.
pub(crate) fn rows(text: &str, flaws: &mut Vec<Flaw>) -> Vec<Row> {
    let mut values: Vec<&RawValue> = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        match value {
            Ok(value) => values.push(value),
            Err(error) => {
                let place = Place { line: error.line() as u32, column: error.column().max(1) as u32 };
                let reason = error.to_string();
                let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
                flaws.push(Flaw::new(place, Fault::Syntax(reason)));
                return Vec::new();
            }
        }
    }
    let reader = Reader { text, line_starts: line_starts(text) };
    if let [only] = values[..]
        && let Some(items) = reader.list(only)
    {
        values = items;
    }
    values.into_iter().filter_map(|value| reader.row(value, flaws)).collect()
}

struct Reader<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> Reader<'a> {
    /// Every raw value is borrowed from the text, so its address says where it stands.
    fn place(&self, value: &str) -> Place {
        let offset = (value.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        Place::of(self.text, &self.line_starts, offset)
    }

    fn list(&self, value: &'a RawValue) -> Option<Vec<&'a RawValue>> {
        if let Ok(items) = serde_json::from_str(value.get()) {
            return Some(items);
        }
        let object: Object<'a> = serde_json::from_str(value.get()).ok()?;
        let (_, inner) = object.0.into_iter().find(|(key, _)| LISTS.contains(&key.as_str()))?;
        serde_json::from_str(inner.get()).ok()
    }

    fn row(&self, value: &'a RawValue, flaws: &mut Vec<Flaw>) -> Option<Row> {
        let place = self.place(value.get());
        let Ok(object) = serde_json::from_str::<Object<'a>>(value.get()) else {
            flaws.push(wrong(place, "an object that describes a workload", value));
            return None;
        };
        let before = flaws.len();
        let mut row = Row::new(place);
        let mut columns = Vec::new();
        for (key, value) in &object.0 {
            let place = self.place(value.get());
            match Column::named(key) {
                Ok(column) if columns.contains(&column) => {
                    flaws.push(Flaw::new(place, Fault::Repeated(key.clone())));
                }
                Ok(column) => {
                    self.set(&mut row, &column, value, flaws);
                    columns.push(column);
                }
                Err(fault) => flaws.push(Flaw::new(place, fault)),
            }
        }
        if flaws.len() == before {
            let names: Vec<&str> = object.0.iter().map(|(key, _)| key.as_str()).collect();
            flaws.extend(check_columns(&columns, &names, place));
        }
        (flaws.len() == before).then_some(row)
    }

    fn set(&self, row: &mut Row, column: &Column, value: &'a RawValue, flaws: &mut Vec<Flaw>) {
        let first = value.get().as_bytes().first();
        match (column, first) {
            (_, Some(b'n')) => {}
            (Column::Ip, Some(b'[')) => self.addresses(row, value, flaws),
            (Column::Labels, Some(b'{')) => self.labels(row, value, flaws),
            _ => {
                if let Some(cell) = self.cell(value, flaws) {
                    row.set(column, cell, flaws);
                }
            }
        }
    }

    fn addresses(&self, row: &mut Row, value: &'a RawValue, flaws: &mut Vec<Flaw>) {
        let items: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
        for item in items {
            if item.get().starts_with('{') {
                row.addresses.extend(self.address(item, flaws));
            } else if let Some(cell) = self.cell(item, flaws) {
                row.addresses.push(Address { ip: cell, from: None, to: None });
            }
        }
    }

    fn address(&self, value: &'a RawValue, flaws: &mut Vec<Flaw>) -> Option<Address> {
        let object: Object<'a> = serde_json::from_str(value.get()).ok()?;
        let (mut ip, mut from, mut to) = (None, None, None);
        for (key, inner) in object.0 {
            let slot = match Column::named(&key) {
                Ok(Column::Ip) => &mut ip,
                Ok(Column::From) => &mut from,
                Ok(Column::To) => &mut to,
                _ => {
                    flaws.push(wrong(
                        self.place(inner.get()),
                        "only `ip`, `from` and `to` in an address",
                        inner,
                    ));
                    continue;
                }
            };
            if inner.get() != "null" {
                *slot = self.cell(inner, flaws);
            }
        }
        if ip.is_none() {
            flaws.push(wrong(self.place(value.get()), "an `ip` in the address", value));
        }
        Some(Address { ip: ip?, from, to })
    }

    fn labels(&self, row: &mut Row, value: &'a RawValue, flaws: &mut Vec<Flaw>) {
        let Ok(object) = serde_json::from_str::<Object<'a>>(value.get()) else { return };
        for (key, inner) in object.0 {
            if !legal_key(&key) {
                flaws.push(Flaw::new(self.place(inner.get()), Fault::LabelKey(key)));
            } else if inner.get() != "null"
                && let Some(cell) = self.cell(inner, flaws).filter(|cell| !cell.text.is_empty())
            {
                row.labels.push((key, cell));
            }
        }
    }

    /// Text; numbers and booleans as they are written.
    fn cell(&self, value: &'a RawValue, flaws: &mut Vec<Flaw>) -> Option<Cell> {
        let raw = value.get();
        let mut place = self.place(raw);
        if raw.starts_with('"') {
            // Past the quote, so that the column is that of the text.
            place.column += 1;
            let text: String = serde_json::from_str(raw).ok()?;
            return Some(Cell { text: text.trim().to_owned(), place });
        }
        if raw.starts_with(['[', '{']) {
            flaws.push(wrong(place, "text", value));
            return None;
        }
        Some(Cell { text: raw.to_owned(), place })
    }
}

fn wrong(place: Place, expected: &'static str, value: &RawValue) -> Flaw {
    let raw = value.get();
    let shown: String = raw.chars().take(40).collect();
    let dots = if shown.len() < raw.len() { ".." } else { "" };
    Flaw::new(place, Fault::Kind { expected, found: format!("`{shown}{dots}`") })
}

/// An object's keys in their order, none dropped, with the values as written.
pub(crate) struct Object<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Pairs).map(Object)
    }
}
