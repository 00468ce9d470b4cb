//! The published document is true: what it says of the service, the service does.

use std::collections::BTreeSet;

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES};
use serde_json::{Value, json};
use tests::{Route, Service, Traded};

async fn document(service: &Service) -> Value {
    service.nobody().get("/openapi.json").await.ok(200)
}

/// Everything that the document refers to.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                found.insert(reference.clone());
            }
            members.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// The schema itself where this is a reference to one.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap(),
        None => schema,
    }
}

/// What this value has that its schema does not allow. Knows as much of JSON Schema as the document uses.
fn contradictions(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
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
            0 => vec![format!("{at}: {value} is none of {choices:?}")],
            _ => Vec::new(),
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

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_openapi_3_1_and_everyone_may_read_it() {
    let service = Service::start().await;
    let reply = service.nobody().get("/openapi.json").await;
    assert_eq!(reply.header("content-type"), "application/json");
    let document = reply.ok(200);
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1."),
        "{}",
        document["openapi"]
    );
    assert_eq!(document["info"]["title"], "Tradeline");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let page = service.nobody().get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("swagger-ui"), "{}", page.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reference_leads_somewhere_and_no_schema_is_left_over() {
    let service = Service::start().await;
    let document = document(&service).await;
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 15, "{found:?}");
    for reference in &found {
        let pointer = reference
            .strip_prefix('#')
            .unwrap_or_else(|| panic!("{reference} leads outside"));
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let unused: Vec<&String> = schemas
        .keys()
        .filter(|name| !found.contains(&format!("#/components/schemas/{name}")))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_has_a_name_of_its_own_a_success_and_problems_for_errors() {
    let service = Service::start().await;
    let mut names = BTreeSet::new();
    for route in Route::all(&service).await {
        let what = route.name();
        let id = route.operation["operationId"].as_str().unwrap().to_owned();
        assert!(names.insert(id.clone()), "{id} twice");
        assert!(
            !route.operation["summary"].as_str().unwrap().is_empty(),
            "{what}"
        );
        let responses = route.operation["responses"].as_object().unwrap();
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{what}"
        );
        for (status, response) in responses {
            assert!(
                !response["description"].as_str().unwrap().is_empty(),
                "{what} {status}"
            );
            if status == "204" {
                assert!(response["content"].is_null(), "{what}");
                continue;
            }
            let content = response["content"].as_object().unwrap();
            if status.starts_with('2') {
                // A stream has text and nothing else.
                if content.contains_key("text/event-stream") {
                    assert_eq!(content.len(), 1, "{what} {status}");
                    continue;
                }
                assert!(
                    content["application/json"]["schema"]["$ref"].is_string(),
                    "{what} {status}"
                );
                continue;
            }
            assert_eq!(
                content["application/problem+json"]["schema"]["$ref"],
                "#/components/schemas/Problem",
                "{what} {status}"
            );
            for code in response["x-codes"].as_array().unwrap() {
                let code = tradeline::problem::Code::ALL
                    .iter()
                    .find(|known| known.text() == code);
                assert_eq!(code.unwrap().status().as_str(), status, "{what}");
            }
        }
        // What its kind can always end in.
        assert!(
            responses.contains_key("500") && responses.contains_key("503"),
            "{what}"
        );
        let secured = route.operation["security"].is_array();
        assert_eq!(
            responses.contains_key("401"),
            secured || what.contains("login") || what.contains("refresh"),
            "{what}"
        );
        let parameters = route.operation["parameters"].as_array().unwrap();
        // What is sent with a key is read, even where nothing needs to be.
        let named = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
        let reads = route.has_body() || route.is_signed() || named("Idempotency-Key");
        assert_eq!(responses.contains_key("413"), reads, "{what}");
        let in_path = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .count();
        assert_eq!(in_path, usize::from(route.has_id()), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fields_that_a_schema_requires_are_the_ones_that_are_asked_for() {
    let service = Service::start().await;
    let document = document(&service).await;
    let mut tried = 0;
    for route in Route::all(&service)
        .await
        .iter()
        .filter(|route| route.has_body())
    {
        assert_eq!(
            route.operation["requestBody"]["required"],
            true,
            "{}",
            route.name()
        );
        let schema = &route.operation["requestBody"]["content"]["application/json"]["schema"];
        let schema = resolved(&document, schema);
        assert_eq!(schema["additionalProperties"], false, "{}", route.name());
        let required: BTreeSet<String> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|name| format!("/{}", name.as_str().unwrap()))
            .collect();
        // An admin may leave out nothing that its role would supply.
        let path = route.with_id(&ACME_HEADPHONES.to_string());
        let best = route.best_caller(&service);
        let request = best.request(route.method.clone(), &path).body("{}");
        let reply = best.send(request).await;
        if required.is_empty() {
            assert!(
                reply.status < 300 || reply.status == 404,
                "{}: {}",
                route.name(),
                reply.text
            );
        } else {
            let body = reply.refused(422, "validation_failed");
            let faults = body["errors"].as_array().unwrap();
            let asked: BTreeSet<String> = faults
                .iter()
                .filter(|fault| fault["message"] == "is required")
                .map(|fault| fault["pointer"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(asked, required, "{}", route.name());
            assert_eq!(faults.len(), required.len(), "{}: {body}", route.name());
        }
        // And every field of the schema is one that the reader knows.
        let mut all = json!({});
        for name in schema["properties"].as_object().unwrap().keys() {
            all[name] = json!({"no field": "takes this"});
        }
        let request = best
            .request(route.method.clone(), &path)
            .body(all.to_string());
        let body = best.send(request).await.refused(422, "validation_failed");
        for fault in body["errors"].as_array().unwrap() {
            // An object within the body reads the value, and does not know what is in it.
            if fault["pointer"].as_str().unwrap().ends_with("/no field") {
                continue;
            }
            assert_ne!(
                fault["message"],
                "is not a known field",
                "{}: {fault}",
                route.name()
            );
        }
        tried += 1;
    }
    assert!(tried >= 8, "{tried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_is_what_the_document_says() {
    let service = Service::start().await;
    let document = document(&service).await;
    let traded = Traded::at(&service).await;
    let mut checked = 0;
    for route in Route::all(&service).await {
        let client = route.best_caller(&service);
        let good = if route.has_id() {
            route.id_at_acme(&traded)
        } else {
            String::new()
        };
        let bad = uuid::Uuid::now_v7().to_string();
        let replies = [
            route.send(&client, &good).await,
            route.send(&client, &bad).await,
            route.send(&service.nobody(), &good).await,
        ];
        // What has no signature of Stripe's is refused, and told in `webhook_signatures.rs` when it has one.
        assert!(
            replies[0].status < 300 || route.is_signed(),
            "{}: {}",
            route.name(),
            replies[0].text
        );
        for reply in replies {
            let what = format!("{} {}", route.name(), reply.status);
            let response = &route.operation["responses"][reply.status.to_string()];
            assert!(
                response.is_object(),
                "{what} is not in the document: {}",
                reply.text
            );
            if reply.status == 204 {
                assert_eq!(reply.text, "", "{what}");
                assert!(response["content"].is_null(), "{what}");
                checked += 1;
                continue;
            }
            let media_type = reply.header("content-type");
            let schema = &response["content"][media_type]["schema"];
            assert!(schema.is_object(), "{what}: {media_type}");
            if reply.is_stream() {
                assert_eq!(schema["type"], "string", "{what}");
                checked += 1;
                continue;
            }
            let body = reply.json();
            let wrong = contradictions(&document, schema, &body, "");
            assert!(wrong.is_empty(), "{what}: {wrong:#?}");
            if reply.status >= 400 {
                let codes = response["x-codes"].as_array().unwrap();
                assert!(codes.contains(&body["code"]), "{what}: {body}");
            }
            for header in response["headers"].as_object().into_iter().flatten() {
                let name = header.0.to_lowercase();
                let is_there = !reply.header(&name).is_empty();
                assert!(
                    is_there || name == "idempotency-replayed",
                    "{what}: no {name}"
                );
            }
            checked += 1;
        }
    }
    assert!(checked > 45, "{checked}");
    // The checker itself finds what is wrong.
    let customer = service
        .admin()
        .get(&format!("/api/customers/{ACME_CUSTOMER}"))
        .await
        .ok(200);
    let schema = json!({"$ref": "#/components/schemas/CustomerView"});
    assert!(contradictions(&document, &schema, &customer, "").is_empty());
    for (name, value) in [
        ("balance", json!(1)),
        ("extra", json!(1)),
        ("on_hold", json!(null)),
    ] {
        let mut wrong = customer.clone();
        wrong[name] = value;
        assert_eq!(
            contradictions(&document, &schema, &wrong, "").len(),
            1,
            "{name}"
        );
    }
    let mut wrong = customer;
    wrong.as_object_mut().unwrap().remove("name");
    assert_eq!(contradictions(&document, &schema, &wrong, "").len(), 1);
}
