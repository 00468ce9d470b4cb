//! These tests compare the published OpenAPI document with the behaviour of the service.

use std::collections::BTreeSet;

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES};
use serde_json::{Value, json};
use tests::{Route, Service, Traded, contradictions, resolved};

async fn document(service: &Service) -> Value {
    service.nobody().get("/openapi.json").await.ok(200)
}

/// Collects all `$ref` values.
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
                // A stream or a picture has no JSON representation.
                if ["text/event-stream", "image/jpeg"]
                    .iter()
                    .any(|other| content.contains_key(*other))
                {
                    assert_eq!(content.len(), 1, "{what} {status}");
                    continue;
                }
                assert!(
                    content["application/json"]["schema"]["$ref"].is_string(),
                    "{what} {status}"
                );
                continue;
            }
            let schema = &content["application/problem+json"]["schema"];
            let mut components = BTreeSet::new();
            references(schema, &mut components);
            let mut expected = BTreeSet::new();
            for code in response["x-codes"].as_array().unwrap() {
                let code = tradeline::schema::problem::Code::ALL
                    .iter()
                    .find(|known| known.text() == code)
                    .unwrap();
                assert_eq!(code.status().as_str(), status, "{what}");
                expected.insert(format!("#/components/schemas/{code:?}Problem"));
            }
            assert_eq!(components, expected, "{what} {status}");
        }
        // Every operation can respond with these statuses.
        assert!(
            responses.contains_key("500") && responses.contains_key("503"),
            "{what}"
        );
        let security = route.operation["security"].as_array();
        let secured = !security.unwrap_or_else(|| panic!("{what}")).is_empty();
        assert_eq!(
            responses.contains_key("401"),
            secured
                || ["login", "refresh", "reset"]
                    .iter()
                    .any(|word| what.contains(word)),
            "{what}"
        );
        let parameters = route.operation["parameters"].as_array().unwrap();
        // A request with an idempotency key has its body read, even where no body is needed.
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
async fn every_operation_has_a_tag_that_is_described_and_ids_are_called_what_bodies_call_them() {
    let service = Service::start().await;
    let document = document(&service).await;
    let tags = document["tags"].as_array().unwrap();
    for tag in tags {
        assert!(!tag["description"].as_str().unwrap().is_empty(), "{tag}");
    }
    for route in Route::all(&service).await {
        let [tag] = &route.operation["tags"].as_array().unwrap()[..] else {
            panic!("{}", route.name());
        };
        assert!(tags.iter().any(|known| known["name"] == *tag), "{tag}");
        for parameter in route.operation["parameters"].as_array().unwrap() {
            if parameter["in"] == "path" && parameter["name"] != "intent" {
                let name = parameter["name"].as_str().unwrap();
                assert!(name.ends_with("_id"), "{}: {name}", route.name());
                assert_eq!(parameter["schema"]["format"], "uuid", "{}", route.name());
            }
        }
    }
}

/// A client that copies an invalid example gets an error.
#[tokio::test(flavor = "multi_thread")]
async fn every_body_has_an_example_that_is_what_its_schema_says() {
    let service = Service::start().await;
    let document = document(&service).await;
    let check = |what: &str, schema: &Value, example: &Value| {
        assert!(!example.is_null(), "{what} has no example");
        let wrong = contradictions(&document, schema, example, "");
        assert!(wrong.is_empty(), "{what}: {wrong:#?}");
    };
    let mut checked = 0;
    for route in Route::all(&service).await {
        let what = route.name();
        if route.has_body() {
            let content = &route.operation["requestBody"]["content"]["application/json"];
            check(&what, &content["schema"], &content["example"]);
            checked += 1;
        }
        for (status, response) in route.operation["responses"].as_object().unwrap() {
            let what = format!("{what} {status}");
            let content = &response["content"]["application/json"];
            if content.is_object() {
                check(&what, &content["schema"], &content["example"]);
                checked += 1;
            }
            let content = &response["content"]["application/problem+json"];
            for code in response["x-codes"].as_array().into_iter().flatten() {
                let example = &content["examples"][code.as_str().unwrap()];
                let example = &resolved(&document, example)["value"];
                assert_eq!(example["code"], *code, "{what}");
                check(&what, &content["schema"], example);
                checked += 1;
            }
        }
    }
    assert!(checked > 500, "{checked}");
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
        let schema = &route.operation["requestBody"]["content"]["application/json"]["schema"];
        let schema = resolved(&document, schema);
        assert_eq!(schema["additionalProperties"], false, "{}", route.name());
        let required: BTreeSet<String> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|name| format!("/{}", name.as_str().unwrap()))
            .collect();
        // Only a body without required members may be left out.
        assert!(
            route.needs_body() || required.is_empty(),
            "{}",
            route.name()
        );
        // An admin must send every member that other roles may leave out.
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
        // The reader knows every property of the schema.
        let mut all = json!({});
        for name in schema["properties"].as_object().unwrap().keys() {
            all[name] = json!({"no field": "takes this"});
        }
        let request = best
            .request(route.method.clone(), &path)
            .body(all.to_string());
        let body = best.send(request).await.refused(422, "validation_failed");
        for fault in body["errors"].as_array().unwrap() {
            // A nested object reports the unknown member inside it, which proves that it was read.
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
async fn responses_match_the_document() {
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
        // Requests without Stripe's signature are rejected here; `webhook_signatures.rs` tests signed ones.
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
            if reply.is_stream() || media_type == "image/jpeg" {
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
    // Checks the checker: it must detect wrong values.
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

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_that_has_content_says_that_it_may_have_no_acceptable_format() {
    let service = Service::start().await;
    let document = document(&service).await;
    let mut with_content = 0;
    for route in Route::all(&service).await {
        let responses = route.operation["responses"].as_object().unwrap();
        let has_content = responses.iter().any(|(status, response)| {
            let response = resolved(&document, response);
            status.starts_with('2') && response["content"].is_object()
        });
        assert_eq!(
            responses.contains_key("406"),
            has_content,
            "{}",
            route.name()
        );
        with_content += usize::from(has_content);
    }
    assert!(with_content > 50, "{with_content}");
}
