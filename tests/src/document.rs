//! This module checks JSON values against the OpenAPI document.

use std::sync::LazyLock;

use serde_json::{Value, json};

/// The OpenAPI document of this build, made without a running service.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let table = tradeline::app::table().unwrap();
    json!(tradeline::schema::openapi::document(&table).unwrap())
});

/// Asserts that a problem matches the schema that the document gives for its code.
pub(crate) fn check_problem(problem: &Value) {
    let code = problem["code"].as_str().unwrap();
    // Codes of no endpoint have only the general schema: the code of an unsupported method, for example.
    let name = match DOCUMENT["components"]["examples"].get(code) {
        Some(_) => format!("{}Problem", camel_case(code)),
        None => "Problem".to_owned(),
    };
    let schema = json!({"$ref": format!("#/components/schemas/{name}")});
    let wrong = contradictions(&DOCUMENT, &schema, problem, "");
    assert!(wrong.is_empty(), "{problem}: {wrong:#?}");
}

/// Converts `insufficient_stock` to `InsufficientStock`.
fn camel_case(code: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    code.split('_').map(word).collect()
}

/// Follows a `$ref`; returns a schema without one unchanged.
#[must_use]
pub fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap(),
        None => schema,
    }
}

/// Lists everything in a value that its schema does not allow. Supports only the parts of JSON Schema that the document
/// uses.
#[must_use]
#[expect(clippy::too_many_lines, reason = "one arm for each keyword")]
pub fn contradictions(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let schema = resolved(document, schema);
    if let Some(parts) = schema["allOf"].as_array() {
        let mut together = json!({"type": "object", "properties": {}, "required": []});
        for part in parts {
            let part = resolved(document, part);
            for (name, property) in part["properties"].as_object().unwrap() {
                together["properties"][name] = property.clone();
            }
            let required = part["required"].as_array().cloned().unwrap_or_default();
            together["required"]
                .as_array_mut()
                .unwrap()
                .extend(required);
        }
        return contradictions(document, &together, value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = |choice: &&Value| contradictions(document, choice, value, at).is_empty();
        return match choices.iter().filter(fits).count() {
            1 => Vec::new(),
            count => vec![format!("{at}: {value} is {count} of {choices:?}")],
        };
    }
    let mut wrong = Vec::new();
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        wrong.push(format!("{at}: {value} is none of {words:?}"));
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        Value::Null => return wrong,
        one => vec![one.clone()],
    };
    let actual = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types
        .iter()
        .any(|one| one == actual || (one == "number" && actual == "integer"))
    {
        wrong.push(format!("{at}: {value} is {actual}, not {types:?}"));
    }
    if let Some(values) = value.as_array() {
        for (index, value) in values.iter().enumerate() {
            wrong.extend(contradictions(
                document,
                &schema["items"],
                value,
                &format!("{at}/{index}"),
            ));
        }
    }
    if let Some(members) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !members.contains_key(name.as_str().unwrap()) {
                wrong.push(format!("{at}: {name} is missing"));
            }
        }
        for (name, value) in members {
            match &schema["properties"][name] {
                Value::Null if schema["additionalProperties"].is_null() => {
                    wrong.push(format!("{at}/{name} is not in the document"));
                }
                Value::Null => {}
                property => wrong.extend(contradictions(
                    document,
                    property,
                    value,
                    &format!("{at}/{name}"),
                )),
            }
        }
    }
    wrong
}
