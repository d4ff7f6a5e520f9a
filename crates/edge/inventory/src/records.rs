//! What the texts of systems have in common: JSON documents with records in them, hardware addresses, times.

use model::{AddressClaim, Ip, Micros, parse_time};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::connector::Sink;
use crate::json::Object;
use crate::row::{Place, line_starts};

/// A claim; `None` is open.
pub(crate) fn claim(ip: Ip, from: Option<Micros>, to: Option<Micros>) -> AddressClaim {
    AddressClaim { ip, from: from.unwrap_or(Micros::MIN), to: to.unwrap_or(Micros::MAX) }
}

/// RFC 3339, as all clouds write times. A date alone is no moment.
pub(crate) fn time(text: &str) -> Option<Micros> {
    if text.contains(['T', ' ']) { parse_time(text, 0).ok() } else { None }
}

/// A time in a record; `None` when absent or empty.
pub(crate) fn time_of(text: &Option<String>) -> Option<Micros> {
    time(text.as_deref()?)
}

/// Seconds since the epoch as microseconds.
pub(crate) fn seconds(text: &str) -> Option<Micros> {
    text.trim().parse::<i64>().ok()?.checked_mul(1_000_000)
}

/// The key of a hardware address, written in any of the usual ways; `None` for those that are nobody's own.
pub(crate) fn mac_key(text: &str) -> Option<String> {
    let digits: String =
        text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect::<String>().to_lowercase();
    if digits.len() != 12 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let shared =
        ["000000000000", "ffffffffffff"].contains(&digits.as_str()) || digits.starts_with("00005e0001");
    let pairs: Vec<&str> = (0..6).filter_map(|n| digits.get(2 * n..2 * n + 2)).collect();
    (!shared).then(|| format!("mac:{}", pairs.join(":")))
}

/// Missing and null are one.
pub(crate) fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// Each level of lists within lists is parsed again: no system nests them deeper.
const MOST_DEEP: usize = 16;

/// A JSON text taken apart to its records, each of which is read by itself.
pub(crate) struct Records<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
    documents: Vec<&'a RawValue>,
}

impl<'a> Records<'a> {
    /// One document, several after each other, or one a line. A document that is cut off is rejected; those before it
    /// stay.
    pub(crate) fn of(text: &'a str, sink: &mut Sink) -> Self {
        let mut documents = Vec::new();
        let line_starts = line_starts(text);
        for document in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
            match document {
                Ok(document) => documents.push(document),
                Err(error) => {
                    let place = Place { line: error.line() as u32, column: error.column().max(1) as u32 };
                    sink.reject(place, format!("not JSON: {}", reason(&error)));
                    break;
                }
            }
        }
        Self { text, line_starts, documents }
    }

    /// The records: documents and members of arrays, also of those that stand under one of the keys, down to [`MOST_DEEP`].
    pub(crate) fn below(&self, keys: &[&str]) -> Vec<&'a RawValue> {
        let mut found = Vec::new();
        // In reverse, so that the first is on top.
        let mut waiting: Vec<(&'a RawValue, usize)> = self.documents.iter().rev().map(|d| (*d, 0)).collect();
        while let Some((value, depth)) = waiting.pop() {
            if depth >= MOST_DEEP {
                continue;
            }
            if value.get().starts_with('[') {
                let items: Vec<&'a RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
                waiting.extend(items.into_iter().rev().map(|item| (item, depth + 1)));
                continue;
            }
            let inner = match serde_json::from_str::<Object<'a>>(value.get()) {
                Ok(object) => object
                    .0
                    .into_iter()
                    .find(|(key, inner)| keys.contains(&key.as_str()) && inner.get().starts_with(['[', '{'])),
                Err(_) => None,
            };
            match inner {
                Some((_, inner)) => waiting.push((inner, depth + 1)),
                None => found.push(value),
            }
        }
        found
    }

    /// Where a record stands.
    pub(crate) fn place(&self, record: &RawValue) -> Place {
        let offset = (record.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        Place::of(self.text, &self.line_starts, offset)
    }

    /// A record as what it should be; rejected with its place and the reason when it is not.
    pub(crate) fn read<T: DeserializeOwned>(&self, record: &RawValue, sink: &mut Sink) -> Option<T> {
        sink.records += 1;
        match serde_json::from_str(record.get()) {
            Ok(read) => Some(read),
            Err(error) => {
                sink.reject(self.place(record), format!("the record is not as expected: {}", reason(&error)));
                None
            }
        }
    }
}

/// The parser's words without its place, which is that within the record.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

/// An address in a record; rejected when it is none.
pub(crate) fn address(text: &str, place: Place, sink: &mut Sink) -> Option<Ip> {
    let plain = text.trim().split('/').next().unwrap_or_default();
    match plain.parse() {
        Ok(ip) => Some(ip),
        Err(_) => {
            sink.reject(place, format!("`{}` is not an IPv4 or IPv6 address", shown(text)));
            None
        }
    }
}

/// What a person needs to see of a text.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}
