//! Examples of bodies, composed from their schemas.
//!
//! A member takes its value from the first of these that has one:
//!
//! 1. the hint of its object (`#[example({…})]` of a `body!`, `#[schema(example = json!({…}))]` of a view);
//! 2. its own schema;
//! 3. null, or no value, if it may be absent;
//! 4. its type.
//!
//! Text has no value of its type. Its object needs a hint, otherwise the document is not made.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// The direction of a body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To the service: optional members are omitted.
    In,
    /// To the client: nullable members are null.
    Out,
}

/// The sources of examples.
pub(super) struct Examples<'a> {
    /// The components' schemas, as JSON.
    pub(super) schemas: Value,
    /// The hints of types, by the name of the component.
    pub(super) hints: &'a BTreeMap<String, Value>,
    /// The members without a value, such as `CustomerView.name`.
    pub(super) missing: BTreeSet<String>,
}

impl Examples<'_> {
    /// An example of the component `name`. `hint` takes precedence over the component's own hint.
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
            // A scalar type, such as an id, takes its example from the member's name, which tells one id from another.
            return match self.schemas[name]["type"].as_str() {
                Some("string") => self.scalar(&self.schemas[name].clone(), place),
                _ => self.of(name, way, hint),
            };
        }
        let parts = |key: &str| schema[key].as_array().cloned();
        if let Some(parts) = parts("allOf") {
            let mut whole = hint.cloned().unwrap_or_else(|| json!({}));
            for part in &parts {
                let hint = self.of_part(part, hint);
                let part = self.compose(part, place, way, hint.as_ref());
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

    /// The hint of a part: that of its own component, in which the hint of the whole replaces members.
    fn of_part(&self, part: &Value, whole: Option<&Value>) -> Option<Value> {
        let name = part["$ref"]
            .as_str()
            .and_then(|name| name.rsplit('/').next());
        let own = name.and_then(|name| self.hints.get(name)).cloned();
        match (own, whole) {
            (Some(Value::Object(mut own)), Some(Value::Object(whole))) => {
                own.extend(whole.clone());
                Some(Value::Object(own))
            }
            (own, whole) => whole.cloned().or(own),
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

    /// The value of a schema that is neither an object, a list nor a choice.
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

    /// The value that a schema itself provides.
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

/// The id for the member `member`. Where the demo data has such an id, it is that one: requests sent from the page at
/// `/docs` then refer to existing rows.
fn id(member: &str) -> &'static str {
    match member {
        "business_id" => "550e8400-e29b-41d4-a716-446655440099",
        "customer_id" => "550e8400-e29b-41d4-a716-446655440000",
        "product_id" => "650e8400-e29b-41d4-a716-446655440001",
        "order_id" => "0190a5d4-7b1c-7000-8000-000000000002",
        _ => "0190a5d4-7b1c-7000-8000-000000000001",
    }
}
