//! What is told of the endpoints: the table, the document, the page of it, the metrics.

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use super::{BUSINESS, ThingView, endpoints, send, special, staff};
use crate::endpoint::{Endpoint, Table};
use crate::openapi;
use crate::query::Page;

#[actix_web::test]
async fn metrics_count_by_route() {
    send(staff(
        TestRequest::get().uri(&format!("/api/things/{BUSINESS}")),
    ))
    .await;
    let page = send(TestRequest::get().uri("/metrics")).await;
    let text = page.body.as_str().unwrap();
    assert!(
        text.contains(
            r#"tradeline_http_requests_total{method="GET",route="/api/things/{id}",status="404"}"#
        ),
        "{text}"
    );
    assert!(text.contains(
        r#"tradeline_http_request_seconds_bucket{method="GET",route="/api/things/{id}",le="0.001"}"#
    ));
    assert!(!text.contains(BUSINESS));
}

#[actix_web::test]
async fn the_document_lists_what_is_served() {
    let reply = send(TestRequest::get().uri("/openapi.json")).await;
    let document = &reply.body;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let create = &document["paths"]["/api/things"]["post"];
    assert_eq!(create["operationId"], "post_things");
    assert_eq!(create["tags"], json!(["things"]));
    assert_eq!(create["x-roles"], json!(["admin", "staff"]));
    assert_eq!(create["security"], json!([{"bearer": []}]));
    let reference = "/requestBody/content/application~1json/schema/$ref";
    assert_eq!(
        create.pointer(reference).unwrap(),
        "#/components/schemas/NewThing"
    );
    assert!(create["responses"]["503"]["headers"]["Retry-After"].is_object());
    assert!(
        create["responses"]["409"]["x-codes"]
            .as_array()
            .unwrap()
            .contains(&json!("already_exists"))
    );
    let ids: std::collections::HashSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    assert_eq!(ids.len(), endpoints().len());
    let schemas = &document["components"]["schemas"];
    assert!(schemas["PageOfThingView"]["properties"]["data"].is_object());
    assert!(schemas["NewThing"]["properties"]["business_id"].is_object());
    every_reference_resolves(document, document);
    let page = send(TestRequest::get().uri("/docs/")).await;
    assert_eq!(page.status, 200);
    let script = send(TestRequest::get().uri("/docs/swagger-initializer.js")).await;
    assert!(script.body.as_str().unwrap().contains("/openapi.json"));
}

fn every_reference_resolves(document: &Value, part: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get("$ref") {
                assert!(
                    document.pointer(target.trim_start_matches('#')).is_some(),
                    "{target}"
                );
            }
            members
                .values()
                .for_each(|member| every_reference_resolves(document, member));
        }
        Value::Array(elements) => {
            elements
                .iter()
                .for_each(|element| every_reference_resolves(document, element));
        }
        _ => {}
    }
}

#[test]
fn an_endpoint_is_declared_once_and_below_api() {
    let twice = [
        Endpoint::get("/api/x", special),
        Endpoint::get("/api/x", special),
    ];
    assert!(Table::new(twice).is_err());
    assert!(Table::new([Endpoint::get("/x", special)]).is_err());
}

#[test]
fn two_schemas_with_one_name_are_refused() {
    mod other {
        #[derive(utoipa::ToSchema)]
        #[expect(dead_code, reason = "only its schema matters")]
        pub(super) struct ThingView {
            name: String,
        }
    }
    let clash = [
        Endpoint::get("/api/x", special).ok::<Page<ThingView>>(),
        Endpoint::get("/api/y", special).ok::<other::ThingView>(),
    ];
    assert!(openapi::document(&Table::new(clash).unwrap()).is_err());
}
