//! Tests of the descriptions of endpoints: the table, the OpenAPI document, its page, the metrics.

use actix_web::test::TestRequest;
use entity::Currency;
use serde_json::{Value, json};

use super::{BUSINESS, ThingView, endpoints, send, special, staff};
use crate::app;
use crate::schema::endpoint::{BadTable, Endpoint, Table, Tag};
use crate::schema::faults::At;
use crate::schema::openapi::{self, BadDocument};
use crate::schema::query::Page;
use crate::schema::{body, csv_body};

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
            r#"tradeline_http_requests_total{method="GET",route="/api/things/{customer_id}",status="404"}"#
        ),
        "{text}"
    );
    assert!(text.contains(
        r#"tradeline_http_request_seconds_bucket{method="GET",route="/api/things/{customer_id}",le="0.001"}"#
    ));
    assert!(!text.contains(BUSINESS));
}

#[actix_web::test]
async fn the_document_lists_what_is_served() {
    let reply = send(TestRequest::get().uri("/openapi.json")).await;
    let document = &reply.body;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let create = &document["paths"]["/api/things"]["post"];
    assert_eq!(create["operationId"], "createThing");
    assert_eq!(create["tags"], json!(["Products"]));
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
    assert_eq!(ids.len(), endpoints()[0].1.len());
    let public = &document["paths"]["/api/greetings"]["post"];
    assert_eq!(public["security"], json!([]));
    let example = "/requestBody/content/application~1json/example";
    assert_eq!(
        create.pointer(example).unwrap(),
        &json!({"name": "Lamp", "quantity": 1, "price": "12.50"})
    );
    assert_eq!(document["servers"][0]["url"], "/");
    assert_eq!(document["tags"][0]["name"], "Products");
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

/// A table with these endpoints.
fn table(endpoints: impl Into<Vec<Endpoint>>) -> Result<Table, BadTable> {
    Table::new([(Tag::Products, endpoints.into())])
}

/// The error of making these endpoints' document.
fn refusal(endpoints: impl Into<Vec<Endpoint>>) -> BadDocument {
    let document = openapi::document(&table(endpoints).unwrap());
    document.map(|_| ()).unwrap_err()
}

fn get(operation_id: &'static str, path: &'static str) -> Endpoint {
    Endpoint::get(operation_id, path, special).summary("Read something")
}

#[test]
fn an_endpoint_is_declared_once_and_below_api() {
    let twice = table([get("getX", "/api/x"), get("readX", "/api/x")]);
    assert_eq!(twice.unwrap_err(), BadTable::Twice("GET /api/x".to_owned()));
    let elsewhere = table([get("getX", "/x")]);
    assert_eq!(
        elsewhere.unwrap_err(),
        BadTable::Elsewhere("GET /x".to_owned())
    );
}

#[test]
fn an_action_names_its_twins_and_a_page_is_no_endpoint_of_the_api() {
    let with = |page| {
        table([get("getX", "/api/x")])?
            .with_pages(vec![page])
            .map(|_| ())
    };
    let action = || Endpoint::action("sendX", "/shop/{business}/x", special);
    let no_twin = Err(BadTable::NoTwin("POST /shop/{business}/x".to_owned()));
    assert_eq!(with(action()), no_twin);
    assert_eq!(with(action().same_as(&["getY"])), no_twin);
    assert_eq!(with(action().same_as(&["getX", "getY"])), no_twin);
    assert_eq!(with(action().same_as(&["getX"])), Ok(()));
    assert_eq!(with(action().of_browsers_only()), Ok(()));
    for elsewhere in ["/api/y", "/x", "/shopping/{business}", "/offices"] {
        let refused = with(Endpoint::page("showX", elsewhere, special));
        assert_eq!(
            refused,
            Err(BadTable::Elsewhere(format!("GET {elsewhere}")))
        );
    }
    let taken = with(Endpoint::page("getX", "/shop/{business}", special));
    assert!(matches!(taken, Err(BadTable::TakenId { .. })), "{taken:?}");
}

#[test]
fn an_operation_id_is_one_endpoints_and_in_camel_case() {
    let taken = table([get("getX", "/api/x"), get("getX", "/api/y")]);
    assert_eq!(
        taken.unwrap_err().to_string(),
        "the operation id getX of GET /api/y is taken"
    );
    for bad in ["", "get_x", "GetX", "get x"] {
        let refused = table([get(bad, "/api/x")]).unwrap_err();
        assert!(matches!(refused, BadTable::BadId { .. }), "{bad}");
    }
}

#[test]
fn a_parameter_of_a_path_is_not_just_called_id() {
    let refused = table([get("getX", "/api/x/{id}")]).unwrap_err();
    assert_eq!(refused, BadTable::NamelessId("GET /api/x/{id}".to_owned()));
}

#[test]
fn an_endpoint_without_a_summary_is_named() {
    let endpoints = [Endpoint::get("getX", "/api/x", special)];
    let refused = refusal(endpoints);
    assert_eq!(refused, BadDocument::NoSummary("GET /api/x".to_owned()));
}

#[test]
#[expect(dead_code, reason = "only the schemas matter")]
fn members_without_an_example_are_named() {
    #[derive(utoipa::ToSchema)]
    struct NamelessView {
        name: String,
        colour: Option<String>,
    }
    crate::body! {
        /// A body whose member has no example.
        struct NamelessRequest {
            /// Its name.
            name: crate::schema::text::Text<1, 20>,
        }
    }
    let endpoint = get("getX", "/api/x").body::<NamelessRequest>();
    let endpoints = [endpoint.ok::<Page<NamelessView>>()];
    let refused = refusal(endpoints);
    let missing = "NamelessRequest.name, NamelessView.name";
    assert_eq!(refused, BadDocument::NoExample(missing.to_owned()));
}

/// Every example of a request in the document must be valid.
#[test]
fn every_example_of_a_request_is_read_by_its_own_type() {
    let table = app::table().unwrap();
    let document = json!(openapi::document(&table).unwrap());
    let mut read = 0;
    for endpoint in table.endpoints() {
        let Some(body) = &endpoint.body else {
            continue;
        };
        let name = endpoint.name();
        let method = endpoint.method.as_str().to_lowercase();
        let content = &document["paths"][endpoint.path][method]["requestBody"]["content"];
        let example = content["application/json"]["example"].clone();
        assert!(example.is_object(), "{name}: {content}");
        // In the form that a client sends.
        let example = body::parse(example.to_string().as_bytes()).unwrap();
        let mut at = At::new(Some(Currency::USD));
        let is_read = (body.reads)(example, &mut at);
        if let Err(problem) = at.finish(is_read.then_some(())) {
            panic!("{name}: {}", problem.body("", ""));
        }
        read += 1;
    }
    assert!(read > 20, "{read}");
}

/// Every example of a table in the document must be valid.
#[test]
fn every_example_of_a_table_is_read_by_its_own_type() {
    let table = app::table().unwrap();
    let document = json!(openapi::document(&table).unwrap());
    let mut read = 0;
    for endpoint in table.endpoints() {
        let Some(body) = &endpoint.csv_body else {
            continue;
        };
        let name = endpoint.name();
        assert!(endpoint.path.starts_with(csv_body::PATHS), "{name}");
        let request = &document["paths"][endpoint.path]["post"]["requestBody"];
        let example = request["content"]["text/csv"]["example"].as_str().unwrap();
        let mut at = At::new(Some(Currency::USD));
        let is_read = (body.reads)(example.as_bytes(), Currency::USD, &mut at);
        if let Err(problem) = at.finish(is_read.then_some(())) {
            panic!("{name}: {}", problem.body("", ""));
        }
        for column in body.columns {
            assert!(
                request["description"]
                    .as_str()
                    .unwrap()
                    .contains(column.name)
            );
        }
        read += 1;
    }
    assert!(read >= 3, "{read}");
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
        get("getX", "/api/x").ok::<Page<ThingView>>(),
        get("getY", "/api/y").ok::<other::ThingView>(),
    ];
    let refused = refusal(clash);
    assert_eq!(refused, BadDocument::Clash("ThingView".to_owned()));
}
