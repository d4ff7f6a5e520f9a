//! Members of JSON records, read straight from the text: nothing is copied that stands there plainly.

use std::borrow::Cow;
use std::fmt;

use model::Micros;
use netset::Ip;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{bytes, times};

/// One record.
pub(crate) fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| format!("not the expected JSON: {error}"))
}

/// Text; numbers and truth values as they are written. Anything else is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl Text<'_> {
    /// The text if there is any, owned.
    pub(crate) fn owned(text: Option<&Self>) -> Option<String> {
        text.filter(|text| !text.0.is_empty()).map(|text| text.0.clone().into_owned())
    }
}

/// An address, if it is one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Address(pub(crate) Option<Ip>);

impl Address {
    /// The address that has to be there.
    pub(crate) fn needed(self, name: &str) -> Result<Ip, String> {
        self.0.ok_or_else(|| format!("the record has no address in `{name}`"))
    }
}

/// A date and time, if it is one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Moment(pub(crate) Option<Micros>);

/// A count, as a number or as text with one: some writers put 64 bits into quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Count(pub(crate) Option<u64>);

macro_rules! scalar {
    ($name:ty, $life:lifetime, $from:ident) => {
        impl<$life, 'out> Deserialize<$life> for $name
        where
            $life: 'out,
        {
            fn deserialize<D: Deserializer<$life>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Any).map($from)
            }
        }
    };
}
scalar!(Text<'out>, 'de, text);
scalar!(Address, 'de, address);
scalar!(Moment, 'de, moment);
scalar!(Count, 'de, count);

fn text(value: Scalar<'_>) -> Text<'_> {
    Text(match value {
        Scalar::Text(text) => text,
        Scalar::Whole(number) => Cow::Owned(number.to_string()),
        Scalar::Fraction(number) => Cow::Owned(number.to_string()),
        Scalar::Bool(true) => Cow::Borrowed("true"),
        Scalar::Bool(false) => Cow::Borrowed("false"),
        Scalar::Other => Cow::Borrowed(""),
    })
}

fn address(value: Scalar<'_>) -> Address {
    match value {
        Scalar::Text(text) => Address(bytes::ip(text.as_bytes())),
        _ => Address(None),
    }
}

fn moment(value: Scalar<'_>) -> Moment {
    match value {
        Scalar::Text(text) => Moment(times::date_time(text.as_bytes())),
        _ => Moment(None),
    }
}

fn count(value: Scalar<'_>) -> Count {
    Count(match value {
        Scalar::Text(text) => bytes::decimal(text.as_bytes()),
        Scalar::Whole(number) => Some(number),
        Scalar::Fraction(number) if (0.0..1e18).contains(&number) => Some(number as u64),
        _ => None,
    })
}

enum Scalar<'a> {
    Text(Cow<'a, str>),
    Whole(u64),
    Fraction(f64),
    Bool(bool),
    Other,
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Whole(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Fraction(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Fraction(number))
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool(truth))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_read_leniently() {
        let count = |text: &str| serde_json::from_str::<Count>(text).unwrap().0;
        assert_eq!([count("7"), count("\"7\""), count("7.0")], [Some(7); 3]);
        assert_eq!([count("-7"), count("null"), count("[1]"), count("{\"a\":1}"), count("\"x\"")], [None; 5]);
        let text = |text: &str| serde_json::from_str::<Text<'_>>(text).unwrap().0.into_owned();
        assert_eq!([text("\"a\\/b\""), text("7"), text("true"), text("null")], ["a/b", "7", "true", ""]);
        let address = |text: &str| serde_json::from_str::<Address>(text).unwrap();
        assert_eq!(address("\"10.0.0.1\"").needed("src"), Ok(Ip::v4(0x0a00_0001)));
        assert_eq!(address("\"\"").needed("src"), Err("the record has no address in `src`".to_owned()));
        let moment = |text: &str| serde_json::from_str::<Moment>(text).unwrap().0;
        assert_eq!([moment("\"1970-01-01T00:00:01Z\""), moment("1")], [Some(1_000_000), None]);
    }
}
