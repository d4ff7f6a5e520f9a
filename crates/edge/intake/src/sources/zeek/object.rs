//! Records as JSON objects.

use std::collections::BTreeMap;

use serde_json::Value;

use super::columns::field;

/// The values of a record by their field's number, as text.
pub(super) type Members = BTreeMap<usize, String>;

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
