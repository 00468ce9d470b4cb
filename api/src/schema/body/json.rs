//! Text to JSON values, stricter than `serde_json`: a name that appears twice in one object is refused, since two
//! readers of such a text may disagree on what it says.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads a whole text. Nesting deeper than 128 is refused.
pub(crate) fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice::<Unambiguous>(text).map(|value| value.0)
}

struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unambiguous(value)) = elements.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<Name>()? {
            let Name::OfMember(name) = name else {
                let text: String = members.next_value()?;
                return text
                    .parse::<Number>()
                    .map(Into::into)
                    .map_err(A::Error::custom);
            };
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!(
                    "the name {name:?} appears twice"
                )));
            }
            let Unambiguous(value) = members.next_value()?;
            object.insert(name, value);
        }
        Ok(object.into())
    }
}

/// `serde_json` hands over a number that fits no integer type as an object with one member of a name of its own. A text
/// may have an object with such a name too, which is none.
enum Name {
    OfMember(String),
    OfNumber,
}

impl<'de> Deserialize<'de> for Name {
    /// Asked whether there is one, the name of a member says yes, and that of a number says itself.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(AnyName)
    }
}

struct AnyName;

impl<'de> Visitor<'de> for AnyName {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_some<D: Deserializer<'de>>(self, name: D) -> Result<Name, D::Error> {
        String::deserialize(name).map(Name::OfMember)
    }

    fn visit_str<E: Error>(self, _name: &str) -> Result<Name, E> {
        Ok(Name::OfNumber)
    }
}
