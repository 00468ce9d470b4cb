//! Tests of the HTTP foundation, with a few endpoints of their own: the guarantees that every handler relies on.

mod callers;
mod documents;
mod requests;

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, Error, HttpResponse, web};
use clap::Parser;
use domain::identity::businesses::Business;
use domain::{AccessLog, Authority, BusinessCache, Database, Outcome, RevocationCache};
use entity::users::Role;
use entity::{Currency, CustomerId, Money, Quantity, UserId};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::access::token::{Claims, Keys, Verifier};
use crate::access::{Authenticated, Visitor};
use crate::config::Cli;
use crate::http::gateways::Gateways;
use crate::http::limits::Limits;
use crate::http::{log, request};
use crate::metrics;
use crate::schema::body::{Bare, Json};
use crate::schema::endpoint::{Endpoint, Table, Tag};
use crate::schema::idempotency::Hasher;
use crate::schema::path::Id;
use crate::schema::problem::{Code, Problem};
use crate::schema::query::{Page, Query};
use crate::schema::text::{Amount, Text};
use crate::schema::{openapi, response::created};

crate::body! {
    /// A thing to create.
    #[example({"name": "Lamp", "price": "12.50"})]
    struct NewThing {
        /// The thing's name.
        name: Text<1, 20>,
        /// The number of units.
        quantity: Quantity,
        /// The price of one unit.
        price: Option<Money>,
    }
}

crate::body! {
    /// A body that everyone may send.
    #[example({"name": "Ada"})]
    struct Greeting {
        /// The sender's name.
        name: Text<1, 20>,
        /// A tip, which needs a business and its currency.
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

async fn create(caller: Authenticated, request: Json<NewThing>) -> Result<HttpResponse, Problem> {
    let NewThing {
        name,
        quantity,
        price,
    } = request.body;
    let body = json!({
        "name": name.0,
        "quantity": quantity.get(),
        "price": price.map(|price| Amount::of(price, caller.currency)),
        "key": request.key.map(|key| key.key),
    });
    caller.answer(Ok(Outcome::Done {
        value: (),
        response: created("/api/things/1", &body),
    }))
}

async fn list(caller: Authenticated, mut query: Query) -> Result<HttpResponse, Problem> {
    query.paging::<CustomerId>();
    query.take::<CustomerId>("customer_id");
    query.finish()?;
    let page = domain::Page {
        rows: vec![caller.currency],
        next: None::<CustomerId>,
    };
    Ok(HttpResponse::Ok().json(Page::of(page, view)))
}

async fn show(id: Id<CustomerId>, caller: Authenticated) -> Result<HttpResponse, Problem> {
    Err(caller.problem(domain::Error::CustomerNotFound(id.0)))
}

async fn cancel(_: Authenticated, _: Id<CustomerId>, _: Bare) -> HttpResponse {
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

fn endpoints() -> Vec<(Tag, Vec<Endpoint>)> {
    const SELLERS: &[Role] = &[Role::Admin, Role::Staff];
    let endpoints = vec![
        Endpoint::get("listThings", "/api/things", list)
            .summary("List things")
            .for_any_role()
            .query::<CustomerId>("customer_id", "Only this customer's.")
            .paged()
            .ok::<Page<ThingView>>(),
        Endpoint::post("createThing", "/api/things", create)
            .summary("Make a thing")
            .for_roles(SELLERS)
            .body::<NewThing>()
            .created::<ThingView>()
            .codes(&[Code::AlreadyExists])
            .idempotent(),
        Endpoint::get("getThing", "/api/things/{customer_id}", show)
            .summary("Read a thing")
            .for_any_role()
            .ok::<ThingView>()
            .codes(&[Code::CustomerNotFound]),
        Endpoint::post("cancelThing", "/api/things/{customer_id}/cancel", cancel)
            .summary("Cancel a thing")
            .for_roles(&[Role::Admin])
            .no_content(),
        Endpoint::get("getSpecialThing", "/api/things/special", special)
            .summary("Read the special thing")
            .for_any_role()
            .ok::<ThingView>(),
        Endpoint::get("open", "/api/open", open)
            .summary("Say which business it is")
            .public_of_business()
            .ok::<ThingView>(),
        Endpoint::post("greet", "/api/greetings", greet)
            .summary("Greet")
            .public()
            .body::<Greeting>()
            .ok::<ThingView>(),
        Endpoint::get("fail", "/api/broken", broken)
            .summary("Fail")
            .public()
            .ok::<ThingView>(),
    ];
    vec![(Tag::Products, endpoints)]
}

const BUSINESS: &str = "0190a5d4-7b1c-7000-8000-000000000001";

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// The complete app, as the binary builds it.
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
    let directory = BusinessCache::of([Business {
        id: BUSINESS.parse().unwrap(),
        slug: "acme".to_owned(),
        currency: Currency::USD,
    }]);
    let limits = Cli::parse_from(["tradeline"]).settings.limits;
    // Nobody listens at this address. The tests need no database: they only use the business in the cache.
    let database = Database::new("postgres://nobody@127.0.0.1:1/nothing", 1).unwrap();
    let verifier = Verifier::new(Arc::new(Keys::new(SECRET).unwrap()), None);
    let access_log = AccessLog::start(database.clone());
    App::new()
        .app_data(web::Data::new(verifier))
        .app_data(web::Data::new(Gateways::new(Vec::new(), Authority::Staff)))
        .app_data(web::Data::new(RevocationCache::default()))
        .app_data(web::Data::new(Hasher::new(SECRET).unwrap()))
        .app_data(web::Data::new(access_log))
        .app_data(web::Data::new(directory))
        .app_data(web::Data::new(Limits::new(&limits)))
        .app_data(web::Data::new(database))
        .configure(|config| crate::access::routing::configure(&table, config))
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
        login: None,
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

    /// The body of an error, after checks of what all errors have in common.
    fn problem(&self, status: u16, code: &str) -> &Value {
        let body = &self.body;
        assert_eq!(self.status, status, "{body}");
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("/problems/{code}"));
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
