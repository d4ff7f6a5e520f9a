//! Records as JSON objects.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::columns::{FIELDS, field};
use super::connection::{Row, Value};

/// The members of a record that matter, borrowed from its text where they stand there plainly.
#[derive(Default)]
pub(super) struct Members<'a> {
    values: [Option<Member<'a>>; FIELDS],
}

enum Member<'a> {
    Text(Cow<'a, str>),
    Whole(u64),
    Fraction(f64),
    /// `null`, a list, a truth value: nothing that a field that matters can be.
    Other,
    /// The `id` record with its addresses, and whatever else is an object.
    Nested(Box<Members<'a>>),
}

impl<'a> Members<'a> {
    /// The fields of a JSON record. The `id` record may be flat or nested.
    pub(super) fn of(object: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(object).map_err(|error| format!("not a JSON object: {error}"))
    }

    pub(super) fn row(&self) -> Row<'_> {
        let mut row = Row::default();
        for (to, from) in row.values.iter_mut().zip(&self.values) {
            *to = match from {
                Some(Member::Text(text)) => Some(Value::Text(text.as_bytes())),
                Some(Member::Whole(number)) => Some(Value::Whole(*number)),
                Some(Member::Fraction(number)) => Some(Value::Fraction(*number)),
                _ => None,
            };
        }
        row
    }

    fn put(&mut self, name: &str, member: Member<'a>) {
        match member {
            Member::Nested(inner) if name == "id" => {
                for (to, from) in self.values.iter_mut().zip(inner.values) {
                    *to = to.take().or(from);
                }
            }
            Member::Nested(_) | Member::Other => {}
            member => {
                if let Some(field) = field(name.as_bytes()) {
                    self.values[field as usize] = Some(member);
                }
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Record)
    }
}

/// A name, borrowed where it stands plainly.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Member::deserialize(deserializer)? {
            Member::Text(text) => Ok(Self(text)),
            _ => Ok(Self(Cow::Borrowed(""))),
        }
    }
}

struct Record;

impl<'de> Visitor<'de> for Record {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members::default();
        while let Some(Name(name)) = map.next_key()? {
            if name == "id" || field(name.as_bytes()).is_some() {
                members.put(&name, map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(members)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Member<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Member::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Member::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Member::Whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Member::Fraction(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Member::Fraction(number))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Member::Other)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Record.visit_map(map).map(|members| Member::Nested(Box::new(members)))
    }
}
