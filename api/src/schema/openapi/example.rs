//! Examples of bodies, composed from their schemas.
//!
//! A member's value is, in this order: the one that the hint of its object has (`#[example({…})]` of a `body!`,
//! `#[schema(example = json!({…}))]` of a view), the one of its own schema, null or nothing where it may be left out, and
//! one that follows from its type. A text has no such value: its object needs a hint, or the document is not made.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// Which way a body goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To the service: what may be left out is left out.
    In,
    /// To the client: what there may not be is null.
    Out,
}

/// What examples are composed from.
pub(super) struct Examples<'a> {
    /// The components' schemas, as JSON.
    pub(super) schemas: Value,
    /// What types say of the examples of their objects.
    pub(super) hints: &'a BTreeMap<String, Value>,
    /// The members without a value, such as `CustomerView.name`.
    pub(super) missing: BTreeSet<String>,
}

impl Examples<'_> {
    /// An example of a component, with what its hint says and what this one does.
    pub(super) fn of(&mut self, name: &str, way: Way, hint: Option<&Value>) -> Value {
        let hint = hint.or_else(|| self.hints.get(name)).cloned();
        let Some(schema) = self.schemas.get(name).cloned() else {
            self.missing.insert(name.to_owned());
            return Value::Null;
        };
        self.compose(&schema, name, way, hint.as_ref())
    }

    fn compose(&mut self, schema: &Value, place: &str, way: Way, hint: Option<&Value>) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or_default();
            // A type such as an id has the values of the member: they tell one id from another.
            return match self.schemas[name]["type"].as_str() {
                Some("string") => self.scalar(&self.schemas[name].clone(), place),
                _ => self.of(name, way, hint),
            };
        }
        let parts = |key: &str| schema[key].as_array().cloned();
        if let Some(parts) = parts("allOf") {
            let mut whole = hint.cloned().unwrap_or_else(|| json!({}));
            for part in &parts {
                let part = self.compose(part, place, way, hint);
                if let (Value::Object(whole), Value::Object(part)) = (&mut whole, part) {
                    whole.extend(part);
                }
            }
            return whole;
        }
        if let Some(choices) = parts("oneOf") {
            let choice = choices.iter().find(|choice| choice["type"] != "null");
            return match (self.scalar_example(schema), choice) {
                (Some(example), _) => example,
                (None, Some(choice)) => self.compose(choice, place, way, hint),
                (None, None) => Value::Null,
            };
        }
        match schema["type"].as_str() {
            Some("object") => self.object(schema, place, way, hint),
            Some("array") => json!([self.compose(&schema["items"], place, way, None)]),
            _ => self.scalar(schema, place),
        }
    }

    fn object(&mut self, schema: &Value, place: &str, way: Way, hint: Option<&Value>) -> Value {
        let mut members = match hint {
            Some(Value::Object(hinted)) => hinted.clone(),
            _ => Map::new(),
        };
        let properties = schema["properties"].as_object().cloned();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, property) in properties.into_iter().flatten() {
            if members.contains_key(&name) {
                continue;
            }
            let may_be_left_out = !required.iter().any(|required| *required == name);
            if may_be_left_out && (way == Way::In || !is_nullable(&property)) {
                continue;
            }
            let value = if is_nullable(&property) && self.scalar_example(&property).is_none() {
                Value::Null
            } else {
                self.compose(&property, &format!("{place}.{name}"), way, None)
            };
            members.insert(name, value);
        }
        Value::Object(members)
    }

    /// A value of what is no object, no list and no choice.
    fn scalar(&mut self, schema: &Value, place: &str) -> Value {
        if let Some(example) = self.scalar_example(schema) {
            return example;
        }
        let member = place.rsplit('.').next().unwrap_or_default();
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().find_map(|kind| kind.as_str()),
            kind => kind.as_str(),
        };
        match (kind, schema["format"].as_str()) {
            (Some("string"), Some("uuid")) => json!(id(member)),
            (Some("string"), Some("date")) => json!("2026-01-31"),
            (Some("string"), Some("date-time")) => json!("2026-01-31T12:00:00Z"),
            (Some("string"), Some("email")) => json!("ada@example.com"),
            (Some("string"), Some("password")) => json!("violet otters play 9 drums"),
            (Some("integer" | "number"), _) => {
                let minimum = schema["minimum"].as_i64().unwrap_or(1);
                json!(minimum.max(1))
            }
            (Some("boolean"), _) => json!(false),
            _ => {
                self.missing.insert(place.to_owned());
                Value::Null
            }
        }
    }

    /// The value that a schema gives itself.
    fn scalar_example(&self, schema: &Value) -> Option<Value> {
        let given = [
            &schema["example"],
            &schema["examples"][0],
            &schema["enum"][0],
        ];
        given.into_iter().find(|value| !value.is_null()).cloned()
    }
}

fn is_nullable(schema: &Value) -> bool {
    let has_null = |kinds: &Value| {
        kinds
            .as_array()
            .is_some_and(|kinds| kinds.contains(&json!("null")))
    };
    let choices = schema["oneOf"].as_array();
    has_null(&schema["type"])
        || choices.is_some_and(|choices| choices.iter().any(|choice| choice["type"] == "null"))
}

/// An id in the member with this name. Those of the demo data where there is one: what is sent from the page at `/docs`
/// then means something.
fn id(member: &str) -> &'static str {
    match member {
        "business_id" => "550e8400-e29b-41d4-a716-446655440099",
        "customer_id" => "550e8400-e29b-41d4-a716-446655440000",
        "product_id" => "650e8400-e29b-41d4-a716-446655440001",
        "order_id" => "0190a5d4-7b1c-7000-8000-000000000002",
        _ => "0190a5d4-7b1c-7000-8000-000000000001",
    }
}
