//! Who may call what. Most tests here go through all routes of the published document, so a new one is covered by
//! itself.

use std::collections::{BTreeMap, BTreeSet};

use domain::Authority;
use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES, GLOBEX, GLOBEX_CUSTOMER, GLOBEX_DESK};
use entity::users::Role;
use entity::{BusinessId, CustomerId, ProductId};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Client, Reply, Route, SECRET, Service, claims, signed};
use tradeline::endpoint::Who;
use uuid::Uuid;

/// What everyone may call. This list may only shrink.
pub(crate) const PUBLIC: [&str; 3] = [
    "POST /api/auth/register",
    "POST /api/auth/login",
    "POST /api/auth/refresh",
];
/// What everyone may call who names a business. This list may only shrink.
const PUBLIC_OF_BUSINESS: [&str; 2] = ["GET /api/products", "GET /api/products/{id}"];

/// What only an admin may call, by the contract. The code's word is not enough here: a slip in it would be believed.
const FOR_ADMINS: [&str; 10] = [
    "DELETE /api/api-keys/{id}",
    "GET /api/api-keys",
    "GET /api/users",
    "PATCH /api/business",
    "PATCH /api/products/{id}",
    "PATCH /api/users/{id}",
    "POST /api/api-keys",
    "POST /api/products",
    "POST /api/users",
    "PUT /api/products/{id}",
];
/// What a customer may call, by the contract. The rest is for staff.
const FOR_CUSTOMERS: [&str; 10] = [
    "GET /api/auth/me",
    "GET /api/business",
    "GET /api/customers/{id}",
    "GET /api/customers/{id}/ledger",
    "GET /api/customers/{id}/statement",
    "GET /api/orders",
    "GET /api/orders/my-orders",
    "GET /api/orders/{id}",
    "POST /api/auth/logout",
    "POST /api/purchase",
];

/// What the platform may call, by the contract: nothing that is of a business. This list may only shrink.
const FOR_PLATFORM: [&str; 1] = ["POST /api/businesses"];

const ROLES: [Authority; 3] = [
    Authority::Admin,
    Authority::Staff,
    Authority::Customer(ACME_CUSTOMER),
];

/// A service with an order of Acme's customer in its books, the order's id, and the routes.
async fn trading() -> (Service, String, Vec<Route>) {
    let service = Service::start().await;
    let receipt = service.staff().buy(&[(ACME_HEADPHONES, 1)]).await.ok(201);
    let order = receipt["order_id"].as_str().unwrap().to_owned();
    let routes = Route::all(&service).await;
    (service, order, routes)
}

fn id_at_acme(route: &Route, order: &str) -> String {
    if route.has_id() {
        route.id_at_acme(order)
    } else {
        String::new()
    }
}

/// Whether a caller with this authority may call, as the document says; another test proves that the table says the same.
fn may(route: &Route, authority: Authority) -> bool {
    let roles = route.operation["x-roles"].as_array().unwrap();
    roles.contains(&json!("public")) || roles.contains(&json!(authority.role()))
}

fn is_public(route: &Route) -> bool {
    PUBLIC.contains(&route.name().as_str())
}

/// All that a client sees of an answer, less what differs between any two: the id of the request, and the id that was
/// asked for.
fn seen(reply: &Reply, id: &str) -> String {
    let headers: BTreeSet<String> = reply
        .headers
        .iter()
        .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    let text = reply
        .text
        .replace(reply.header("x-request-id"), "<request>");
    format!("{} {headers:?} {}", reply.status, text.replace(id, "<id>"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_and_the_table_name_the_same_routes_with_the_same_roles() {
    let service = Service::start().await;
    let documented: BTreeMap<String, String> = Route::all(&service)
        .await
        .iter()
        .map(|route| (route.name(), route.operation["x-roles"].to_string()))
        .collect();
    let table = tradeline::app::table().unwrap();
    let served = table.endpoints().iter().map(|endpoint| {
        let roles = match endpoint.who {
            Who::Public | Who::PublicOf => json!(["public"]),
            Who::Any => json!(["admin", "staff", "customer"]),
            Who::Roles(roles) => json!(roles),
            Who::Platform => json!(["platform"]),
        };
        let name = format!("{} {}", endpoint.method, endpoint.path);
        (name, roles.to_string())
    });
    assert_eq!(documented, served.collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_listed_routes_are_public() {
    let table = tradeline::app::table().unwrap();
    let of = |who| {
        let all = table.endpoints().iter();
        all.filter(|endpoint| endpoint.who == who)
            .map(|endpoint| format!("{} {}", endpoint.method, endpoint.path))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(Who::Public), PUBLIC);
    assert_eq!(of(Who::PublicOf), PUBLIC_OF_BUSINESS);
    assert_eq!(of(Who::Platform), FOR_PLATFORM);
    // Who could say "nobody" by mistake would have a route that no one can test.
    assert!(of(Who::Roles(&[])).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_contract_opens_to_customers_and_staff_is_open_to_them() {
    let service = Service::start().await;
    let routes = Route::all(&service).await;
    let of = |wanted: &dyn Fn(&Route) -> bool| {
        let mut names: Vec<String> = routes
            .iter()
            .filter(|route| route.operation["x-roles"] != json!(["public"]) && wanted(route))
            .map(Route::name)
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(
        of(&|route| !may(route, Authority::Staff) && may(route, Authority::Admin)),
        FOR_ADMINS
    );
    assert_eq!(
        of(&|route| may(route, Authority::Customer(ACME_CUSTOMER))),
        FOR_CUSTOMERS
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_credential_every_route_that_is_not_public_answers_401_and_does_nothing() {
    let (service, order, routes) = trading().await;
    let before = service.database.digest().await;
    let mut refused = 0;
    for route in routes.iter().filter(|route| !is_public(route)) {
        let reply = route
            .send(&service.nobody(), &id_at_acme(route, &order))
            .await;
        assert_eq!(reply.status, 401, "{}: {}", route.name(), reply.text);
        let _ = reply.refused(401, "unauthenticated");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
        refused += 1;
    }
    assert_eq!(refused, routes.len() - PUBLIC.len());
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_credential_is_refused_by_every_route_that_looks_at_one() {
    let (service, order, routes) = trading().await;
    let good = claims(ACME, Authority::Admin);
    let mut expired = good;
    expired.expires_at = expired.issued_at - 60;
    let valid = signed(&good, SECRET);
    let (head, rest) = valid.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    // {"alg":"none"}
    let unsigned = format!("eyJhbGciOiJub25lIn0.{body}.");
    let bad = [
        ("Bearer garbage".to_owned(), "unauthenticated"),
        ("Bearer ".to_owned(), "unauthenticated"),
        ("Basic YWRtaW46YWRtaW4xMjM=".to_owned(), "unauthenticated"),
        (valid.clone(), "unauthenticated"),
        (format!("Bearer {unsigned}"), "unauthenticated"),
        (format!("Bearer {head}.{body}."), "unauthenticated"),
        (
            format!("Bearer {head}.{body}.{}", signature.to_lowercase()),
            "unauthenticated",
        ),
        (
            format!(
                "Bearer {}",
                signed(&good, "another secret, and it is long enough too")
            ),
            "unauthenticated",
        ),
        (
            format!(
                "Bearer {}",
                signed(&claims(BusinessId::new(), Authority::Admin), SECRET)
            ),
            "unauthenticated",
        ),
        (
            format!("Bearer {}", signed(&expired, SECRET)),
            "token_expired",
        ),
    ];
    let before = service.database.digest().await;
    for route in routes.iter().filter(|route| !is_public(route)) {
        for (header, code) in &bad {
            // A visitor that would be let in without a credential is not let in with a bad one.
            let path = match PUBLIC_OF_BUSINESS.contains(&route.name().as_str()) {
                true => format!(
                    "{}?business=acme",
                    route.with_id(&id_at_acme(route, &order))
                ),
                false => route.with_id(&id_at_acme(route, &order)),
            };
            let request = service.nobody().request(route.method.clone(), &path);
            let reply = service
                .nobody()
                .send(request.header("authorization", header))
                .await;
            assert_eq!(
                reply.status,
                401,
                "{} {header}: {}",
                route.name(),
                reply.text
            );
            let _ = reply.refused(401, code);
        }
    }
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_credentials_are_none() {
    let service = Service::start().await;
    let request = service.admin().request(Method::GET, "/api/auth/me");
    let second = signed(&claims(ACME, Authority::Admin), SECRET);
    let reply = service
        .nobody()
        .send(request.header("authorization", format!("Bearer {second}")))
        .await;
    let _ = reply.refused(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_call_what_the_table_says_and_gets_403_for_the_rest() {
    let (service, order, routes) = trading().await;
    let (mut allowed, mut forbidden) = (0, 0);
    for route in &routes {
        for authority in ROLES {
            let client = service.caller(ACME, authority);

            let what = format!("{} as {authority:?}", route.name());
            let id = id_at_acme(route, &order);
            if may(route, authority) {
                let reply = route.send(&client, &id).await;
                // Twice the same sku, from an admin's POST and PUT, is the one conflict that is to be expected.
                // A refresh token is good once.
                let spent = route.path == "/api/auth/refresh" && reply.status == 401;
                let good = (200..300).contains(&reply.status) || reply.status == 409 || spent;
                assert!(good, "{what}: {} {}", reply.status, reply.text);
                allowed += 1;
            } else {
                let before = service.database.digest().await;
                let reply = route.send(&client, &id).await;
                assert_eq!(reply.status, 403, "{what}: {}", reply.text);
                let _ = reply.refused(403, "forbidden");
                assert_eq!(service.database.digest().await, before, "{what}");
                forbidden += 1;
            }
        }
    }
    assert!(allowed > 30 && forbidden > 10, "{allowed} {forbidden}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_gets_403_from_every_route_of_a_business_and_nothing_from_it() {
    let (service, order, routes) = trading().await;
    let platform = service.platform();
    let before = service.database.digest().await;
    let mut forbidden = 0;
    for route in routes.iter().filter(|route| !is_public(route)) {
        if FOR_PLATFORM.contains(&route.name().as_str()) {
            assert!(route.is_platforms());
            continue;
        }
        let good = route.send(&platform, &id_at_acme(route, &order)).await;
        let _ = good.refused(403, "forbidden");
        // Whatever business it names, and whatever else is wrong with the request.
        let path = format!("{}?business=acme", route.with_id("nonsense"));
        let request = platform
            .request(route.method.clone(), &path)
            .header("x-business-id", ACME.to_string())
            .body("{");
        let _ = platform.send(request).await.refused(403, "forbidden");
        forbidden += 1;
    }
    assert_eq!(forbidden, routes.len() - PUBLIC.len() - FOR_PLATFORM.len());
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_call_learns_nothing_of_the_route() {
    let (service, _, routes) = trading().await;
    let mut tried = 0;
    for route in &routes {
        for authority in ROLES {
            if may(route, authority) {
                continue;
            }
            // A bad id, a bad query, a bad body, a bad header: the role comes first.
            let path = format!("{}?typo=1", route.with_id("nonsense"));
            let client = service.caller(ACME, authority);
            let request = client
                .request(route.method.clone(), &path)
                .header("x-business-id", GLOBEX.to_string())
                .header("idempotency-key", "not visible")
                .body("{");
            let _ = client.send(request).await.refused(403, "forbidden");
            tried += 1;
        }
    }
    assert!(tried > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn for_a_stranger_another_business_ids_are_ids_that_nobody_has() {
    let (service, order, routes) = trading().await;
    let before = service.database.digest().await;
    let mut tried = 0;
    for route in routes.iter().filter(|route| route.has_id()) {
        for authority in [
            Authority::Admin,
            Authority::Staff,
            Authority::Customer(GLOBEX_CUSTOMER),
            // A customer of Globex whose token carries the id of Acme's customer is nobody there.
            Authority::Customer(ACME_CUSTOMER),
        ] {
            if !may(route, authority) {
                continue;
            }
            let stranger = service.caller(GLOBEX, authority);
            let theirs = route.id_at_acme(&order);
            let no_ones = Uuid::now_v7().to_string();
            let other = route.send(&stranger, &theirs).await;
            let none = route.send(&stranger, &no_ones).await;
            assert_eq!(other.status, 404, "{}: {}", route.name(), other.text);
            assert_eq!(
                seen(&other, &theirs),
                seen(&none, &no_ones),
                "{} as {authority:?}",
                route.name()
            );
            tried += 1;
        }
    }
    assert!(tried >= 16, "{tried}");
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_another_business_in_a_body_or_a_query_are_ids_that_nobody_has() {
    let (service, order, _) = trading().await;
    let stranger = service.stranger();
    let before = service.database.digest().await;
    let buy = async |customer: CustomerId, product: ProductId| {
        stranger.buy_for(customer, &[(product, 1)]).await
    };
    let nobody = CustomerId::new();
    let (other, none) = (
        buy(ACME_CUSTOMER, GLOBEX_DESK).await,
        buy(nobody, GLOBEX_DESK).await,
    );
    let _ = other.refused(404, "customer_not_found");
    assert_eq!(
        seen(&other, &ACME_CUSTOMER.to_string()),
        seen(&none, &nobody.to_string())
    );
    let nothing = ProductId::new();
    let (other, none) = (
        buy(GLOBEX_CUSTOMER, ACME_HEADPHONES).await,
        buy(GLOBEX_CUSTOMER, nothing).await,
    );
    let _ = other.refused(404, "product_not_found");
    assert_eq!(
        seen(&other, &ACME_HEADPHONES.to_string()),
        seen(&none, &nothing.to_string())
    );
    let orders = stranger
        .get(&format!("/api/orders?customer_id={ACME_CUSTOMER}"))
        .await;
    assert_eq!(orders.ok(200)["data"], json!([]));
    // A cursor is an id too: one from Acme opens nothing.
    let mine = service.staff().get("/api/orders?limit=1").await.ok(200);
    let cursor = mine["next_cursor"].as_str().unwrap();
    let orders = stranger.get(&format!("/api/orders?cursor={cursor}")).await;
    assert!(!orders.text.contains(&order), "{}", orders.text);
    assert_eq!(orders.ok(200)["data"], json!([]));
    assert_eq!(service.database.digest().await, before);
}

/// Every id in this JSON, each replaced by one that nobody has.
fn with_new_ids(value: &Value, replaced: &mut Vec<(String, String)>) -> Value {
    match value {
        Value::String(text) if text.parse::<Uuid>().is_ok() => {
            let new = Uuid::now_v7().to_string();
            replaced.push((text.clone(), new.clone()));
            new.into()
        }
        Value::Array(values) => values
            .iter()
            .map(|value| with_new_ids(value, replaced))
            .collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), with_new_ids(value, replaced)))
            .collect(),
        other => other.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_every_route_ids_of_another_business_in_body_and_query_are_ids_that_nobody_has() {
    let (service, order, routes) = trading().await;
    let stranger = service.stranger();
    let before = service.database.digest().await;
    let (mut bodies, mut queries) = (0, 0);
    for route in routes.iter().filter(|route| !is_public(route)) {
        let send = async |query: &str, body: Option<&Value>| {
            let path = format!("{}{query}", route.with_id(&id_at_acme(route, &order)));
            let request = stranger.request(route.method.clone(), &path);
            let request = match body {
                Some(body) => request.body(body.to_string()),
                None => request,
            };
            stranger.send(request).await
        };
        let mut replaced = Vec::new();
        let good = route.has_body().then(|| route.good_body());
        let new = good.as_ref().map(|body| with_new_ids(body, &mut replaced));
        if !replaced.is_empty() {
            let (theirs, no_ones) = (send("", good.as_ref()).await, send("", new.as_ref()).await);
            assert!(
                matches!(theirs.status, 403 | 404),
                "{}: {}",
                route.name(),
                theirs.text
            );
            let same = |mut text: String| {
                for (their, no_one) in &replaced {
                    text = text.replace(their, "<id>").replace(no_one, "<id>");
                }
                text
            };
            assert_eq!(
                same(seen(&theirs, "<none>")),
                same(seen(&no_ones, "<none>")),
                "{}",
                route.name()
            );
            bodies += 1;
        }
        let parameters = route.operation["parameters"]
            .as_array()
            .into_iter()
            .flatten();
        for parameter in parameters {
            if parameter["in"] != "query" || parameter["schema"]["format"] != "uuid" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            for theirs in [ACME_CUSTOMER.0, ACME_HEADPHONES.0, order.parse().unwrap()] {
                let no_ones = Uuid::now_v7().to_string();
                let theirs = theirs.to_string();
                let other = send(&format!("?{name}={theirs}"), good.as_ref()).await;
                let none = send(&format!("?{name}={no_ones}"), good.as_ref()).await;
                assert_eq!(
                    seen(&other, &theirs),
                    seen(&none, &no_ones),
                    "{} {name}",
                    route.name()
                );
                queries += 1;
            }
        }
    }
    assert!(bodies >= 1 && queries >= 3, "{bodies} {queries}");
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_the_callers_business_and_nothing_of_another() {
    let (service, _, routes) = trading().await;
    let lists = routes
        .iter()
        .filter(|route| route.method == Method::GET && !route.has_id());
    let mut read = 0;
    for route in lists {
        if route.operation["x-roles"] == json!(["customer"]) {
            continue;
        }
        let acme = route.send(&service.admin(), "").await.ok(200).to_string();
        let globex = route
            .send(&service.stranger(), "")
            .await
            .ok(200)
            .to_string();
        for id in [GLOBEX_CUSTOMER.0, GLOBEX_DESK.0, GLOBEX.0] {
            assert!(!acme.contains(&id.to_string()), "{} {acme}", route.name());
        }
        for id in [ACME_CUSTOMER.0, ACME_HEADPHONES.0, ACME.0] {
            assert!(
                !globex.contains(&id.to_string()),
                "{} {globex}",
                route.name()
            );
        }
        read += 1;
    }
    assert!(read >= 5, "{read}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_business_header_may_repeat_the_callers_business_and_name_no_other() {
    let (service, order, routes) = trading().await;
    let of_a_business = |route: &&Route| !is_public(route) && !route.is_platforms();
    for route in routes.iter().filter(of_a_business) {
        let client = route.best_caller(&service);
        let send = async |values: &[String]| {
            let path = route.with_id(&id_at_acme(route, &order));
            let mut request = client.request(route.method.clone(), &path);
            for value in values {
                request = request.header("x-business-id", value);
            }
            if route.has_body() {
                request = request.body(route.good_body().to_string());
            }
            client.send(request).await
        };
        let own = ACME.to_string();
        for repeated in [own.clone(), own.to_uppercase()] {
            let reply = send(&[repeated]).await;
            assert!(
                reply.status < 300 || reply.status == 409,
                "{}: {}",
                route.name(),
                reply.text
            );
        }
        let before = service.database.digest().await;
        let other = GLOBEX.to_string();
        for values in [
            vec![other.clone()],
            vec![own.clone(), other.clone()],
            vec![other, own.clone()],
            vec!["acme".to_owned()],
            vec![String::new()],
            vec![Uuid::nil().to_string()],
            vec![format!("{own}, {own}")],
        ] {
            let reply = send(&values).await;
            assert_eq!(
                reply.status,
                403,
                "{} {values:?}: {}",
                route.name(),
                reply.text
            );
            let _ = reply.refused(403, "tenant_mismatch");
        }
        assert_eq!(service.database.digest().await, before, "{}", route.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_repeat_the_callers_business_and_name_no_other() {
    let (service, order, routes) = trading().await;
    let admin = service.admin();
    let mut tried = 0;
    for route in routes
        .iter()
        .filter(|route| route.has_body() && !is_public(route) && !route.is_platforms())
    {
        let send = async |business: serde_json::Value| {
            let mut body = route.good_body();
            body["business_id"] = business;
            let path = route.with_id(&id_at_acme(route, &order));
            let request = admin.request(route.method.clone(), &path);
            admin.send(request.body(body.to_string())).await
        };
        let reply = send(json!(ACME)).await;
        assert!(
            reply.status < 300 || reply.status == 409,
            "{}: {}",
            route.name(),
            reply.text
        );
        let before = service.database.digest().await;
        for other in [json!(GLOBEX), json!(Uuid::nil())] {
            let _ = send(other).await.refused(403, "tenant_mismatch");
        }
        for nonsense in [json!("acme"), json!(1), json!(null), json!([ACME])] {
            let body = send(nonsense).await.refused(422, "validation_failed");
            assert_eq!(body["errors"][0]["pointer"], "/business_id", "{body}");
        }
        assert_eq!(service.database.digest().await, before, "{}", route.name());
        tried += 1;
    }
    assert_eq!(
        tried,
        routes.iter().filter(|route| route.has_body()).count() - PUBLIC.len() - FOR_PLATFORM.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_names_a_business_and_reads_its_products() {
    let service = Service::start().await;
    let nobody = service.nobody();
    for business in ["acme".to_owned(), ACME.to_string()] {
        let list = nobody
            .get(&format!("/api/products?business={business}"))
            .await;
        assert_eq!(list.ok(200)["data"].as_array().unwrap().len(), 17);
        let one = nobody
            .get(&format!(
                "/api/products/{ACME_HEADPHONES}?business={business}"
            ))
            .await;
        assert_eq!(one.ok(200)["sku"], "HDP-001");
    }
    // Another business's product does not exist, in the words for one that nobody has.
    let no_ones = ProductId::new();
    let other = nobody
        .get(&format!("/api/products/{ACME_HEADPHONES}?business=globex"))
        .await;
    let none = nobody
        .get(&format!("/api/products/{no_ones}?business=globex"))
        .await;
    let _ = other.refused(404, "product_not_found");
    assert_eq!(
        seen(&other, &ACME_HEADPHONES.to_string()),
        seen(&none, &no_ones.to_string())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_who_names_no_business_or_an_unknown_one_reads_nothing() {
    let service = Service::start().await;
    let nobody = service.nobody();
    let one = format!("/api/products/{ACME_HEADPHONES}");
    for path in ["/api/products", one.as_str()] {
        let _ = nobody.get(path).await.refused(401, "unauthenticated");
        for unknown in [
            "initech".to_owned(),
            Uuid::now_v7().to_string(),
            "ACME".to_owned(),
            String::new(),
            "acme'%20OR%20'1'='1".to_owned(),
            "acme%00".to_owned(),
            "a".repeat(65),
            "%25".to_owned(),
        ] {
            let reply = nobody.get(&format!("{path}?business={unknown}")).await;
            assert_eq!(reply.status, 404, "{unknown}: {}", reply.text);
            let _ = reply.refused(404, "not_found");
        }
        let reply = nobody
            .get(&format!("{path}?business=acme&business=globex"))
            .await;
        let _ = reply.refused(422, "validation_failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_names_a_business_in_the_query_names_its_own() {
    let service = Service::start().await;
    let one = format!("/api/products/{ACME_HEADPHONES}");
    for path in ["/api/products", one.as_str()] {
        for own in ["acme".to_owned(), ACME.to_string()] {
            let reply = service
                .customer()
                .get(&format!("{path}?business={own}"))
                .await;
            assert_eq!(reply.status, 200, "{}", reply.text);
        }
        for other in ["globex".to_owned(), GLOBEX.to_string()] {
            let reply = service
                .admin()
                .get(&format!("{path}?business={other}"))
                .await;
            let _ = reply.refused(403, "tenant_mismatch");
        }
        let reply = service
            .admin()
            .get(&format!("{path}?business=initech"))
            .await;
        let _ = reply.refused(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_sees_and_does_its_own_and_nothing_of_another_customer() {
    let service = Service::start().await;
    let (staff, me) = (service.staff(), service.customer());
    let neighbour = service.admin().add_customer("Neighbour", "500.00").await;
    let theirs = staff
        .buy_for(neighbour, &[(ACME_HEADPHONES, 1)])
        .await
        .ok(201);
    let theirs = theirs["order_id"].as_str().unwrap();
    let mine = me.buy(&[(ACME_HEADPHONES, 1)]).await.ok(201);
    let mine = mine["order_id"].as_str().unwrap();

    let own = me
        .get(&format!("/api/customers/{ACME_CUSTOMER}"))
        .await
        .ok(200);
    assert_eq!(own["balance"], "100.00");
    let own = me.get(&format!("/api/orders/{mine}")).await.ok(200);
    assert_eq!(own["order_id"], mine);

    for (path, id) in [
        ("customers", neighbour.to_string()),
        ("orders", theirs.to_owned()),
    ] {
        let no_ones = Uuid::now_v7().to_string();
        let other = me.get(&format!("/api/{path}/{id}")).await;
        let none = me.get(&format!("/api/{path}/{no_ones}")).await;
        assert_eq!(other.status, 404, "{}", other.text);
        assert_eq!(seen(&other, &id), seen(&none, &no_ones));
    }
    let before = service.database.digest().await;
    let no_ones = CustomerId::new();
    let other = me.buy_for(neighbour, &[(ACME_HEADPHONES, 1)]).await;
    let none = me.buy_for(no_ones, &[(ACME_HEADPHONES, 1)]).await;
    let _ = other.refused(404, "customer_not_found");
    assert_eq!(
        seen(&other, &neighbour.to_string()),
        seen(&none, &no_ones.to_string())
    );
    assert_eq!(service.database.digest().await, before);

    for path in ["/api/orders/my-orders", "/api/orders"] {
        let listed = me.get(path).await.ok(200);
        let ids: Vec<&str> = listed["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|order| order["order_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, [mine], "{path}");
    }
    let listed = me
        .get(&format!("/api/orders?customer_id={neighbour}"))
        .await;
    assert_eq!(listed.ok(200)["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_set_no_credit_limit_and_no_hold() {
    let service = Service::start().await;
    let staff = service.staff();
    let before = service.database.digest().await;
    let path = format!("/api/customers/{ACME_CUSTOMER}");
    for decision in [
        json!({"credit_limit": "5000.00"}),
        json!({"credit_limit": "0"}),
        // What it is already is a decision as well.
        json!({"credit_limit": "1000.00"}),
        json!({"on_hold": true}),
        json!({"on_hold": false}),
        json!({"name": "Friend", "payment_terms_days": 90, "credit_limit": "9.00"}),
    ] {
        let _ = staff
            .patch(&path, &decision)
            .await
            .refused(403, "forbidden");
        let mut new = decision;
        new["name"] = json!("Friend");
        let _ = staff
            .post("/api/customers", &new)
            .await
            .refused(403, "forbidden");
    }
    assert_eq!(service.database.digest().await, before);
    // Everything else is theirs to change, and an admin decides.
    let renamed = staff.patch(&path, &json!({"name": "Example Ltd"})).await;
    assert_eq!(renamed.ok(200)["credit_limit"], "1000.00");
    let raised = service
        .admin()
        .patch(&path, &json!({"credit_limit": "5000.00", "on_hold": true}))
        .await
        .ok(200);
    assert_eq!(raised["credit_limit"], "5000.00");
    assert_eq!(raised["on_hold"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_its_role_whatever_else_the_request_says() {
    let service = Service::start().await;
    let customer = service.customer();
    let before = service.database.digest().await;
    for header in [
        "x-role",
        "x-user-id",
        "x-forwarded-user",
        "x-http-method-override",
    ] {
        let request = customer
            .request(Method::POST, "/api/products")
            .header(header, "admin")
            .body(json!({"sku": "X", "name": "X", "price": "1", "role": "admin"}).to_string());
        let _ = customer.send(request).await.refused(403, "forbidden");
    }
    assert_eq!(customer_role(&customer).await, Role::Customer);
    assert_eq!(service.database.digest().await, before);
}

async fn customer_role(client: &Client) -> Role {
    let me = client.get("/api/auth/me").await.ok(200);
    serde_json::from_value(me["role"].clone()).unwrap()
}
