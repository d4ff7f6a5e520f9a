//! Records as JSON objects.

use std::collections::BTreeMap;

use serde_json::Value;

use super::columns::field;

/// The values of a record by their field's number, as text.
pub(super) type Members = BTreeMap<usize, String>;

/// A JSON object that may go over several lines.
#[derive(Default)]
pub(super) struct Object {
    pub(super) text: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Where it began.
    pub(super) line: u64,
}

impl Object {
    /// Adds a line; whether the object is complete.
    pub(super) fn add(&mut self, line: &[u8], number: u64) -> bool {
        if self.text.is_empty() {
            self.line = number;
        }
        for byte in line {
            match (self.in_string, self.escaped, byte) {
                (true, true, _) => self.escaped = false,
                (true, false, b'\\') => self.escaped = true,
                (_, _, b'"') => self.in_string = !self.in_string,
                (false, _, b'{' | b'[') => self.depth += 1,
                (false, _, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
        self.depth == 0
    }

    /// Bytes of its lines so far, without the last one's end, which the input may lack.
    pub(super) fn bytes(&self) -> usize {
        self.text.len().saturating_sub(1)
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        (self.depth, self.in_string, self.escaped) = (0, false, false);
    }
}

/// The fields of a JSON record by their index, as text. The `id` record may be flat or nested.
pub(super) fn json(object: &[u8]) -> Result<Members, String> {
    let value: Value =
        serde_json::from_slice(object).map_err(|error| format!("not a JSON object: {error}"))?;
    let Value::Object(members) = value else { return Err("expected a JSON object".to_owned()) };
    let mut row = BTreeMap::new();
    for (name, value) in members {
        match value {
            Value::Object(inner) if name == "id" => {
                for (name, value) in inner {
                    put(&mut row, &format!("id.{name}"), value);
                }
            }
            value => put(&mut row, &name, value),
        }
    }
    Ok(row)
}

fn put(row: &mut BTreeMap<usize, String>, name: &str, value: Value) {
    let Some(field) = field(name) else { return };
    let text = match value {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => return,
    };
    row.insert(field as usize, text);
}
