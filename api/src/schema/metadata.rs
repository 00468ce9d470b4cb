//! Metadata in requests: an object of text, whose keys a program chooses.
//!
//! Keys and values are stored unchanged. Each invalid key or value is a fault with its own pointer.

use std::collections::BTreeMap;

use domain::Caller;
use domain::foundation::metadata::MetadataChange;
use entity::Metadata;
use serde_json::Value;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use super::body::{Change, FromJson};
use super::faults::At;
use super::text::string;

/// The metadata of a new row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMetadata(pub Metadata);

impl NewMetadata {
    /// The metadata to store; `None` without keys.
    #[must_use]
    pub fn stored(this: Option<Self>) -> Option<Metadata> {
        let metadata = this.map(|new| new.0);
        metadata.filter(|metadata| !metadata.0.is_empty())
    }
}

/// The metadata as this caller reads it. It is for the programs of the business, so customers and visitors read none.
#[must_use]
pub fn shown(metadata: Option<&Metadata>, reader: Option<&Caller>) -> Metadata {
    let is_staff = reader.is_some_and(|reader| reader.confined_to().is_none());
    let metadata = metadata.filter(|_| is_staff);
    metadata.cloned().unwrap_or_default()
}

/// The keys that a PATCH changes. A key with null or an empty text is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataPatch(BTreeMap<String, Option<String>>);

impl From<Change<MetadataPatch>> for MetadataChange {
    fn from(change: Change<MetadataPatch>) -> Self {
        match change {
            Change::Keep => Self::Keep,
            Change::Clear => Self::Replace(None),
            Change::Set(MetadataPatch(keys)) => Self::Merge(keys),
        }
    }
}

/// Control characters that no key may have. PostgreSQL cannot store NUL.
const IN_KEYS: &str = r"\u0000-\u001f\u007f-\u009f";

/// Control characters that no value may have: all but line breaks and tabs.
const IN_VALUES: &str = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f";

fn check_key(key: &str) -> Result<(), String> {
    let most = Metadata::MAX_KEY_LENGTH;
    if !(1..=most).contains(&key.chars().count()) {
        return Err(format!("must have a key of 1 to {most} characters"));
    }
    if key.chars().any(char::is_control) {
        return Err("must have a key without control characters".to_owned());
    }
    Ok(())
}

fn check_value(value: &str) -> Result<(), String> {
    let most = Metadata::MAX_VALUE_LENGTH;
    if value.chars().count() > most {
        return Err(format!("must have at most {most} characters"));
    }
    let is_bad = |sign: char| sign.is_control() && !matches!(sign, '\n' | '\r' | '\t');
    if value.chars().any(is_bad) {
        return Err("must not have control characters other than line breaks and tabs".to_owned());
    }
    Ok(())
}

/// Parses an object whose values `parse` parses.
fn object<T>(
    value: Value,
    at: &mut At,
    parse: impl Fn(Value) -> Result<T, String>,
) -> Option<BTreeMap<String, T>> {
    let Value::Object(members) = value else {
        at.fault("must be an object");
        return None;
    };
    let parsed = members.into_iter().map(|(key, value)| {
        at.inside(&key.clone(), |at| {
            let is_good = check_key(&key).map_err(|fault| at.fault(fault)).is_ok();
            let value = parse(value).map_err(|fault| at.fault(fault)).ok();
            value.filter(|_| is_good).map(|value| (key, value))
        })
    });
    // Collected only now: stopping at the first invalid member would hide the faults of the others.
    let parsed: Vec<Option<(String, T)>> = parsed.collect();
    parsed.into_iter().collect()
}

/// The schema of an object whose values have this schema.
fn schema_of(value: ObjectBuilder) -> ObjectBuilder {
    let key = string()
        .min_length(Some(1))
        .max_length(Some(Metadata::MAX_KEY_LENGTH))
        .pattern(Some(format!("^[^{IN_KEYS}]*$")));
    let value = value
        .max_length(Some(Metadata::MAX_VALUE_LENGTH))
        .pattern(Some(format!("^[^{IN_VALUES}]*$")));
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::Object))
        .property_names(Some(Schema::from(key)))
        .additional_properties(Some(Schema::from(value)))
}

impl FromJson for NewMetadata {
    fn from_json(value: Value, at: &mut At) -> Option<Self> {
        let count = value.as_object().map_or(0, serde_json::Map::len);
        let keys = object(value, at, |value| match value {
            Value::String(value) if value.is_empty() => Err("must not be empty".to_owned()),
            Value::String(value) => check_value(&value).map(|()| value),
            _ => Err("must be a string".to_owned()),
        });
        if count > Metadata::MAX_KEYS {
            at.fault(format!("must have at most {} keys", Metadata::MAX_KEYS));
            return None;
        }
        keys.map(|keys| Self(Metadata(keys)))
    }

    fn schema() -> RefOr<Schema> {
        schema_of(string().min_length(Some(1)))
            .max_properties(Some(Metadata::MAX_KEYS))
            .into()
    }
}

impl FromJson for MetadataPatch {
    fn from_json(value: Value, at: &mut At) -> Option<Self> {
        object(value, at, |value| match value {
            Value::Null => Ok(None),
            Value::String(value) => check_value(&value).map(|()| match value.is_empty() {
                true => None,
                false => Some(value),
            }),
            _ => Err("must be a string or null".to_owned()),
        })
        .map(Self)
    }

    fn schema() -> RefOr<Schema> {
        let nullable = SchemaType::from_iter([Type::String, Type::Null]);
        schema_of(ObjectBuilder::new().schema_type(nullable)).into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults<T: FromJson>(value: Value) -> Vec<String> {
        let mut at = At::new(None);
        let parsed = T::from_json(value, &mut at);
        let Err(problem) = at.finish(parsed) else {
            return Vec::new();
        };
        let body: Value = serde_json::from_str(&problem.body("", "")).unwrap();
        let errors = body["errors"].as_array().unwrap();
        let pointers = errors
            .iter()
            .map(|fault| fault["pointer"].as_str().unwrap());
        pointers.map(str::to_owned).collect()
    }

    #[test]
    fn every_bad_key_and_value_is_reported() {
        let long = "k".repeat(41);
        let body = json!({
            "good": "1", "": "1", "a/b": 7, "null": null, "empty": "", "nul": "\u{0}", "long": "x".repeat(501),
            long.as_str(): "1", "break\n": "1",
        });
        let expected = ["/", "/a~1b", "/break\n", "/empty", "/long", "/nul", "/null"];
        let mut found = faults::<NewMetadata>(body.clone());
        found.retain(|pointer| *pointer != format!("/{long}"));
        found.sort();
        assert_eq!(found, expected);
        let mut found = faults::<MetadataPatch>(body);
        found.retain(|pointer| *pointer != format!("/{long}"));
        found.sort();
        assert_eq!(found, ["/", "/a~1b", "/break\n", "/long", "/nul"]);
        assert_eq!(faults::<NewMetadata>(json!([])), [""]);
    }

    #[test]
    fn metadata_has_at_most_fifty_keys_of_forty_characters() {
        let keys = |count: usize| -> Value {
            let keys = (0..count).map(|n| (format!("{n:é>40}"), json!("ü".repeat(500))));
            Value::Object(keys.collect())
        };
        assert_eq!(faults::<NewMetadata>(keys(50)), [""; 0]);
        assert_eq!(faults::<NewMetadata>(keys(51)), [""]);
    }
}
