//! The HTTP foundation under a few endpoints that only exist here: what every handler may rely on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use crate::access::{Signed, Visitor};
use crate::body::{Bare, Json};
use crate::config::Cli;
use crate::endpoint::{self, Endpoint, Table};
use crate::gateway::Gateways;
use crate::idempotency::Hasher;
use crate::limit::Limits;
use crate::path::Id;
use crate::problem::{Code, Problem};
use crate::query::{Page, Query};
use crate::text::{Amount, Text};
use crate::token::{Claims, Keys, Verifier};
use crate::{idempotency, log, metrics, openapi, request};
use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, Error, HttpResponse, HttpServer, web};
use clap::Parser;
use domain::businesses::Business;
use domain::idempotency::{Answer, Answered};
use domain::{Authority, Database, Directory, Journal, Standing};
use entity::users::Role;
use entity::{BusinessId, Currency, CustomerId, Money, Quantity, UserId};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

crate::body! {
    /// A thing to be made.
    struct NewThing {
        /// Its name.
        name: Text<1, 20>,
        /// How many.
        quantity: Quantity,
        /// What one costs.
        price: Option<Money>,
    }
}

crate::body! {
    /// What everyone may send.
    struct Greeting {
        /// Of whom.
        name: Text<1, 20>,
        /// A tip, which no one without a business can give.
        tip: Option<Money>,
    }
}

/// A thing.
#[derive(Serialize, ToSchema)]
struct ThingView {
    id: CustomerId,
    price: Amount,
}

fn view(currency: Currency) -> ThingView {
    ThingView {
        id: CustomerId::new(),
        price: Amount::of(Money::ZERO, currency),
    }
}

async fn create(caller: Signed, request: Json<NewThing>) -> Result<HttpResponse, Problem> {
    let NewThing {
        name,
        quantity,
        price,
    } = request.body;
    let body = json!({
        "name": name.0,
        "quantity": quantity.get(),
        "price": price.map(|price| Amount::of(price, caller.currency)),
        "key": request.claim.map(|claim| claim.key),
    });
    let location = Some("/api/things/1".to_owned());
    let answer = Answer {
        status: 201,
        location,
        body: body.to_string(),
    };
    Ok(idempotency::response(Answered {
        answer,
        replayed: false,
    }))
}

async fn list(caller: Signed, mut query: Query) -> Result<HttpResponse, Problem> {
    query.paging();
    query.take::<CustomerId>("customer_id");
    query.finish()?;
    Ok(HttpResponse::Ok().json(Page::new(vec![view(caller.currency)], None)))
}

async fn show(id: Id<CustomerId>, caller: Signed) -> Result<HttpResponse, Problem> {
    Err(caller.problem(domain::Error::CustomerNotFound(id.0)))
}

async fn cancel(_: Signed, _: Id<CustomerId>, _: Bare) -> HttpResponse {
    HttpResponse::NoContent().finish()
}

async fn special() -> HttpResponse {
    HttpResponse::Ok().json(json!({"special": true}))
}

async fn open(visitor: Visitor, query: Query) -> Result<HttpResponse, Problem> {
    query.finish()?;
    let signed = visitor.caller.is_some();
    Ok(HttpResponse::Ok().json(json!({"business": visitor.business_id, "signed": signed})))
}

async fn greet(request: Json<Greeting>) -> Result<HttpResponse, Problem> {
    let Greeting { name, tip } = request.body;
    Ok(HttpResponse::Ok().json(json!({"name": name.0, "tip": tip.is_some()})))
}

async fn broken() -> HttpResponse {
    panic!("secret_x")
}

fn endpoints() -> Vec<Endpoint> {
    const SELLERS: &[Role] = &[Role::Admin, Role::Staff];
    vec![
        Endpoint::get("/api/things", list)
            .summary("List things")
            .for_any_role()
            .query::<CustomerId>("customer_id", "Only this customer's.")
            .paged()
            .ok::<Page<ThingView>>(),
        Endpoint::post("/api/things", create)
            .summary("Make a thing")
            .for_roles(SELLERS)
            .body::<NewThing>()
            .created::<ThingView>()
            .codes(&[Code::AlreadyExists])
            .idempotent(),
        Endpoint::get("/api/things/{id}", show)
            .for_any_role()
            .ok::<ThingView>()
            .codes(&[Code::CustomerNotFound]),
        Endpoint::post("/api/things/{id}/cancel", cancel)
            .for_roles(&[Role::Admin])
            .no_content(),
        Endpoint::get("/api/things/special", special)
            .for_any_role()
            .ok::<ThingView>(),
        Endpoint::get("/api/open", open)
            .public_of_business()
            .ok::<ThingView>(),
        Endpoint::post("/api/greetings", greet)
            .public()
            .body::<Greeting>()
            .ok::<ThingView>(),
        Endpoint::get("/api/broken", broken)
            .public()
            .ok::<ThingView>(),
    ]
}

const BUSINESS: &str = "0190a5d4-7b1c-7000-8000-000000000001";
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// The whole app, as the binary puts it together.
fn app() -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    metrics::start().unwrap();
    let table = Table::new(endpoints()).unwrap();
    let document = openapi::json(&table).unwrap();
    let directory = Directory::of([Business {
        id: BUSINESS.parse().unwrap(),
        slug: "acme".to_owned(),
        currency: Currency::USD,
    }]);
    let limits = Cli::parse_from(["tradeline"]).settings.limits;
    // Nobody listens there: these tests need no database, and a business that is not known cannot be asked for.
    let database = Database::new("postgres://nobody@127.0.0.1:1/nothing", 1).unwrap();
    let verifier = Verifier::new(Arc::new(Keys::new(SECRET).unwrap()), None);
    let journal = Journal::start(database.clone());
    App::new()
        .app_data(web::Data::new(verifier))
        .app_data(web::Data::new(Gateways::new(Vec::new(), Authority::Staff)))
        .app_data(web::Data::new(Standing::default()))
        .app_data(web::Data::new(Hasher::new(SECRET).unwrap()))
        .app_data(web::Data::new(journal))
        .app_data(web::Data::new(directory))
        .app_data(web::Data::new(Limits::new(&limits)))
        .app_data(web::Data::new(database))
        .configure(|config| endpoint::configure(&table, config))
        .configure(|config| openapi::configure(document, config))
        .configure(metrics::configure)
        .wrap(log::requests())
        .wrap(from_fn(request::outermost))
}

fn token(authority: Authority, seconds: i64) -> String {
    let now = chrono::Utc::now().timestamp();
    let claims = Claims {
        user_id: UserId::new(),
        business_id: BUSINESS.parse().unwrap(),
        authority,
        version: None,
        issued_at: now,
        expires_at: now + seconds,
    };
    format!(
        "Bearer {}",
        Keys::new(SECRET).unwrap().sign(&claims).unwrap()
    )
}

fn staff(request: TestRequest) -> TestRequest {
    request.insert_header(("Authorization", token(Authority::Staff, 60)))
}

struct Reply {
    status: StatusCode,
    headers: actix_web::http::header::HeaderMap,
    body: Value,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body of an error, after a look at what all errors have in common.
    fn problem(&self, status: u16, code: &str) -> &Value {
        let body = &self.body;
        assert_eq!(self.status, status, "{body}");
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("urn:tradeline:error:{code}"));
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(body["request_id"], self.header("x-request-id"));
        for member in ["title", "detail", "instance", "request_id"] {
            assert!(
                !body[member].as_str().unwrap().is_empty(),
                "{member} in {body}"
            );
        }
        body
    }
}

async fn send(request: TestRequest) -> Reply {
    let app = init_service(app()).await;
    let (status, headers, bytes) = match app.call(request.to_request()).await {
        Ok(response) => {
            let response = response.into_parts().1;
            let (status, headers) = (response.status(), response.headers().clone());
            let bytes = actix_web::body::to_bytes(response.into_body()).await;
            (status, headers, bytes.ok().unwrap())
        }
        Err(error) => {
            let response = error.error_response();
            let (status, headers) = (response.status(), response.headers().clone());
            (
                status,
                headers,
                actix_web::body::to_bytes(response.into_body())
                    .await
                    .unwrap(),
            )
        }
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Reply {
        status,
        headers,
        body,
    }
}

#[actix_web::test]
async fn a_good_request_reaches_its_handler() {
    let body = json!({"name": "x", "quantity": 2, "price": "1.5", "business_id": BUSINESS});
    let request = TestRequest::post()
        .uri("/api/things")
        .insert_header(("X-Request-Id", "my-id"))
        .insert_header(("X-Business-Id", BUSINESS))
        .insert_header(("Idempotency-Key", "k1"));
    let reply = send(staff(request).set_payload(body.to_string())).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert_eq!(
        reply.body,
        json!({"name": "x", "quantity": 2, "price": "1.50", "key": "k1"})
    );
    assert_eq!(reply.header("location"), "/api/things/1");
    assert_eq!(reply.header("x-request-id"), "my-id");
    assert_eq!(reply.header("content-type"), "application/json");
}

#[actix_web::test]
async fn every_fault_of_a_body_is_reported_at_once() {
    let request = staff(TestRequest::post().uri("/api/things"))
        .insert_header(("Idempotency-Key", "not one key"))
        .set_payload(r#"{"quantity": 0, "price": "x", "business_id": 7, "extra": 1}"#);
    let reply = send(request).await;
    let errors = &reply.problem(422, "validation_failed")["errors"];
    let pointers: Vec<_> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|error| &error["pointer"])
        .collect();
    assert_eq!(
        pointers,
        [
            "/business_id",
            "Idempotency-Key",
            "/name",
            "/quantity",
            "/price",
            "/extra"
        ]
    );
}

#[actix_web::test]
async fn what_is_no_json_is_malformed() {
    for text in ["", "{", "{\"name\": \"a\", \"name\": \"b\"}"] {
        let reply = send(staff(TestRequest::post().uri("/api/things")).set_payload(text)).await;
        reply.problem(400, "malformed_json");
    }
}

#[actix_web::test]
async fn an_action_needs_no_body() {
    let admin = token(Authority::Admin, 60);
    let uri = format!("/api/things/{BUSINESS}/cancel");
    for (text, status) in [("", 204), ("{}", 204), ("{\"x\": 1}", 422), ("no", 400)] {
        let request = TestRequest::post()
            .uri(&uri)
            .insert_header(("Authorization", admin.clone()));
        assert_eq!(
            send(request.set_payload(text)).await.status,
            status,
            "{text}"
        );
    }
}

#[actix_web::test]
async fn unknown_paths_and_methods_are_problems() {
    for uri in [
        "/nowhere",
        "/api/nowhere",
        "/api",
        "/api/things/",
        "/docs/nothing.js",
    ] {
        let reply = send(TestRequest::get().uri(uri)).await;
        let body = reply.problem(404, "not_found");
        assert_eq!(body["instance"], uri);
    }
    let reply = send(TestRequest::delete().uri("/api/things")).await;
    reply.problem(405, "method_not_allowed");
    assert!(reply.header("allow").contains("GET") && reply.header("allow").contains("POST"));
    let reply = send(TestRequest::post().uri("/api/open")).await;
    reply.problem(405, "method_not_allowed");
    assert_eq!(reply.header("allow"), "GET");
}

#[actix_web::test]
async fn an_id_that_is_none_is_an_id_that_nobody_has() {
    let reply = send(staff(TestRequest::get().uri("/api/things/nonsense"))).await;
    assert_eq!(
        reply.problem(404, "customer_not_found")["customer_id"],
        "nonsense"
    );
    let reply = send(staff(
        TestRequest::get().uri(&format!("/api/things/{BUSINESS}")),
    ))
    .await;
    assert_eq!(
        reply.problem(404, "customer_not_found")["customer_id"],
        BUSINESS
    );
    let reply = send(staff(TestRequest::get().uri("/api/things/special"))).await;
    assert_eq!(
        reply.body,
        json!({"special": true}),
        "a literal path comes before a parameter"
    );
}

#[actix_web::test]
async fn credentials_come_before_everything_else() {
    let request = || TestRequest::post().uri("/api/things").set_payload("{");
    for header in ["", "Bearer", "Bearer ", "Bearer x.y.z", "Basic eDp5"] {
        let reply = send(request().insert_header(("Authorization", header))).await;
        reply.problem(401, "unauthenticated");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
    send(request()).await.problem(401, "unauthenticated");
    let expired = ("Authorization", token(Authority::Admin, -60));
    send(request().insert_header(expired))
        .await
        .problem(401, "token_expired");
    let customer = (
        "Authorization",
        token(Authority::Customer(CustomerId::new()), 60),
    );
    send(request().insert_header(customer))
        .await
        .problem(403, "forbidden");
    send(staff(request())).await.problem(400, "malformed_json");
}

#[actix_web::test]
async fn no_other_business_can_be_named() {
    let other = BusinessId::new().to_string();
    for header in [other.as_str(), "acme", ""] {
        let request =
            staff(TestRequest::get().uri("/api/things")).insert_header(("X-Business-Id", header));
        send(request).await.problem(403, "tenant_mismatch");
    }
    let body = json!({"business_id": other}).to_string();
    let request = staff(TestRequest::post().uri("/api/things")).set_payload(body);
    send(request).await.problem(403, "tenant_mismatch");
}

#[actix_web::test]
async fn a_visitor_names_a_business_or_has_credentials() {
    for uri in [
        "/api/open?business=acme",
        &format!("/api/open?business={BUSINESS}"),
    ] {
        let reply = send(TestRequest::get().uri(uri)).await;
        assert_eq!(reply.body, json!({"business": BUSINESS, "signed": false}));
    }
    let reply = send(staff(TestRequest::get().uri("/api/open"))).await;
    assert_eq!(reply.body, json!({"business": BUSINESS, "signed": true}));
    send(TestRequest::get().uri("/api/open"))
        .await
        .problem(401, "unauthenticated");
    send(TestRequest::get().uri("/api/open?business=%00"))
        .await
        .problem(404, "not_found");
    let bad = TestRequest::get()
        .uri("/api/open?business=acme")
        .insert_header(("Authorization", "Bearer x"));
    send(bad).await.problem(401, "unauthenticated");
}

#[actix_web::test]
async fn a_public_body_has_no_amounts_and_takes_no_business() {
    let body = json!({"name": "x", "tip": "1", "business_id": BUSINESS});
    let reply = send(
        TestRequest::post()
            .uri("/api/greetings")
            .set_payload(body.to_string()),
    )
    .await;
    assert_eq!(
        reply.problem(422, "validation_failed")["errors"],
        json!([
            {"pointer": "/tip", "message": "is an amount, which needs a business and its currency"},
            {"pointer": "/business_id", "message": "is not a known field"},
        ])
    );
}

#[actix_web::test]
async fn queries_are_strict() {
    let reply = send(staff(
        TestRequest::get().uri("/api/things?limit=0&cursor=*&x=1"),
    ))
    .await;
    let errors = &reply.problem(422, "validation_failed")["errors"];
    assert_eq!(errors.as_array().unwrap().len(), 3);
    let reply = send(staff(TestRequest::get().uri("/api/things?limit=1"))).await;
    assert_eq!(reply.body["data"][0]["price"], "0.00");
    assert_eq!(reply.body["next_cursor"], Value::Null);
}

#[actix_web::test]
async fn request_ids_are_taken_over_only_if_they_are_plain() {
    for bad in ["", "a b", "ü", &"x".repeat(129)] {
        let reply = send(
            TestRequest::get()
                .uri("/metrics")
                .insert_header(("X-Request-Id", bad)),
        )
        .await;
        assert_eq!(reply.header("x-request-id").len(), 36, "{bad}");
    }
    let longest = "x".repeat(128);
    let request = TestRequest::get()
        .uri("/nowhere")
        .insert_header(("X-Request-Id", longest.as_str()));
    assert_eq!(
        send(request).await.problem(404, "not_found")["request_id"],
        longest
    );
}

#[actix_web::test]
async fn a_panic_is_a_500_without_its_words() {
    let reply = send(TestRequest::get().uri("/api/broken")).await;
    assert!(
        !reply
            .problem(500, "internal_error")
            .to_string()
            .contains("secret_x")
    );
}

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

/// A client that sends its whole body before it reads: what it gets.
fn send_slowly(address: std::net::SocketAddr, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[actix_web::test]
async fn a_large_body_gets_its_413_while_it_is_still_being_sent() {
    let server = HttpServer::new(app)
        .workers(1)
        .bind(("127.0.0.1", 0))
        .unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    let serving = actix_web::rt::spawn(server);
    let megabytes = 10 * 1024 * 1024;
    let head = |rest: String| {
        let token = token(Authority::Staff, 60);
        format!(
            "POST /api/things HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {token}\r\n{rest}\r\n\r\n"
        )
    };
    let announced = head(format!("Content-Length: {megabytes}"));
    let chunked = head("Transfer-Encoding: chunked".to_owned());
    let mut chunks = format!("{megabytes:x}\r\n").into_bytes();
    chunks.resize(chunks.len() + megabytes, b' ');
    chunks.extend(b"\r\n0\r\n\r\n");
    let unsigned =
        format!("POST /api/things HTTP/1.1\r\nHost: x\r\nContent-Length: {megabytes}\r\n\r\n");
    let answers = web::block(move || {
        let body = vec![b' '; megabytes];
        [
            send_slowly(address, &announced, &body),
            send_slowly(address, &chunked, &chunks),
            send_slowly(address, &unsigned, &body),
        ]
    });
    let [announced, chunked, unsigned] = answers.await.unwrap();
    for answer in [announced, chunked] {
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer:.200}");
        assert!(answer.contains("\"payload_too_large\""));
    }
    assert!(unsigned.starts_with("HTTP/1.1 401"), "{unsigned:.200}");
    handle.stop(false).await;
    serving.await.unwrap().unwrap();
}
