//! These tests check which roles may call which endpoint. Most go through all routes of the published document, and so
//! try each new endpoint. Its body and id are listed by hand in `tests/src/routes.rs`, its role below.

use std::collections::{BTreeMap, BTreeSet};

use domain::Authority;
use domain::demo::{ACME, ACME_CUSTOMER, GLOBEX};
use entity::BusinessId;
use entity::users::Role;
use reqwest::Method;
use serde_json::json;
use tests::{Client, Reply, Route, SECRET, Service, Traded, claims, signed};
use tradeline::schema::endpoint::Who;

/// Endpoints that need no credential. This list may only shrink.
pub(crate) const PUBLIC: [&str; 5] = [
    "POST /api/auth/register",
    "POST /api/auth/login",
    "POST /api/auth/refresh",
    // Authenticated by a code.
    "POST /api/auth/password-reset",
    // Authenticated by Stripe's signature.
    "POST /api/webhooks/stripe",
];

/// Endpoints that need no credential from the same machine, with the offline provider only. This list may only shrink.
pub(crate) const LOCAL: [&str; 2] = [
    "POST /api/dev/payments/{intent}/succeed",
    "POST /api/dev/payments/{intent}/fail",
];

/// Endpoints that need no credential when the request names a business. This list may only shrink.
const PUBLIC_OF_BUSINESS: [&str; 6] = [
    "GET /api/products",
    "GET /api/products/{product_id}",
    "GET /api/products/{product_id}/picture",
    "GET /api/products/{product_id}/availability/stream",
    "GET /api/sales",
    "GET /api/sales/{sale_id}",
];

/// Endpoints for admins only. The list is written out here, because a mistake in the code's own table would otherwise
/// pass.
const FOR_ADMINS: [&str; 29] = [
    "DELETE /api/api-keys/{api_key_id}",
    "DELETE /api/products/{product_id}/picture",
    "DELETE /api/users/{user_id}",
    "GET /api/api-keys",
    "GET /api/audit",
    "GET /api/users",
    "PATCH /api/business",
    "PATCH /api/products/{product_id}",
    "PATCH /api/sales/{sale_id}",
    "PATCH /api/users/{user_id}",
    "POST /api/api-keys",
    "POST /api/credit-notes/{credit_note_id}/reverse",
    "POST /api/customers/{customer_id}/payouts",
    "POST /api/imports/balances",
    "POST /api/imports/customers",
    "POST /api/imports/products",
    "POST /api/imports/stock",
    "POST /api/orders/{order_id}/credit-notes",
    "POST /api/orders/{order_id}/refund",
    "POST /api/orders/{order_id}/write-offs",
    "POST /api/payments/{payment_id}/reverse",
    "POST /api/payouts/{payout_id}/reverse",
    "POST /api/products",
    "POST /api/sales",
    "POST /api/users",
    "POST /api/users/{user_id}/password-reset",
    "POST /api/write-offs/{write_off_id}/reverse",
    "PUT /api/products/{product_id}",
    "PUT /api/products/{product_id}/picture",
];

/// Endpoints that customers may call. All others are for staff.
const FOR_CUSTOMERS: [&str; 19] = [
    "GET /api/auth/me",
    "GET /api/business",
    "GET /api/customers/{customer_id}",
    "GET /api/customers/{customer_id}/ledger",
    "GET /api/customers/{customer_id}/statement",
    "GET /api/orders",
    "GET /api/orders/my-orders",
    "GET /api/orders/{order_id}",
    "GET /api/reservations",
    "GET /api/reservations/{reservation_id}",
    "POST /api/auth/logout",
    "POST /api/auth/password",
    "POST /api/orders/checkout",
    "POST /api/orders/{order_id}/cancel",
    "POST /api/purchase",
    "POST /api/reservations",
    "POST /api/reservations/{reservation_id}/cancel",
    "POST /api/reservations/{reservation_id}/confirm",
    "PUT /api/customers/{customer_id}/addresses",
];

/// Endpoints that the platform may call: none that belongs to a business. This list may only shrink.
pub(crate) const FOR_PLATFORM: [&str; 2] = [
    "POST /api/businesses",
    "POST /api/businesses/{business_id}/admin-reset",
];

/// Endpoints whose valid body has a secret that is valid once. A repetition gets 401.
pub(crate) const OF_SPENT_SECRETS: [&str; 3] = [
    "/api/auth/refresh",
    "/api/auth/password-reset",
    "/api/auth/password",
];

pub(crate) const ROLES: [Authority; 3] = [
    Authority::Admin,
    Authority::Staff,
    Authority::Customer(ACME_CUSTOMER),
];

/// Starts a service with transactions at Acme; returns their ids and all routes.
pub(crate) async fn trading() -> (Service, Traded, Vec<Route>) {
    let service = Service::start().await;
    let traded = Traded::at(&service).await;
    let routes = Route::all(&service).await;
    (service, traded, routes)
}

pub(crate) fn id_at_acme(route: &Route, traded: &Traded) -> String {
    if route.has_id() {
        route.id_at_acme(traded)
    } else {
        String::new()
    }
}

/// True if the document allows this authority to call the route. Another test compares the document with the table.
pub(crate) fn may(route: &Route, authority: Authority) -> bool {
    let roles = route.operation["x-roles"].as_array().unwrap();
    roles.contains(&json!("public")) || roles.contains(&json!(authority.role()))
}

pub(crate) fn is_public(route: &Route) -> bool {
    let name = route.name();
    PUBLIC.contains(&name.as_str()) || LOCAL.contains(&name.as_str())
}

/// Everything that a client sees of a response, without the request's id, the date and the requested id, which always
/// differ.
pub(crate) fn seen(reply: &Reply, id: &str) -> String {
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
    let served = table.endpoints().map(|endpoint| {
        let roles = match endpoint.who {
            Who::Public | Who::PublicOf | Who::Local => json!(["public"]),
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
        let all = table.endpoints();
        all.filter(|endpoint| endpoint.who == who)
            .map(|endpoint| format!("{} {}", endpoint.method, endpoint.path))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(Who::Public), PUBLIC);
    assert_eq!(of(Who::PublicOf), PUBLIC_OF_BUSINESS);
    assert_eq!(of(Who::Local), LOCAL);
    assert_eq!(of(Who::Platform), FOR_PLATFORM);
    // A route for an empty set of roles could be called by no one and would escape these tests.
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
    let (service, traded, routes) = trading().await;
    let before = service.database.digest().await;
    let mut refused = 0;
    for route in routes.iter().filter(|route| !is_public(route)) {
        let reply = route
            .send(&service.nobody(), &id_at_acme(route, &traded))
            .await;
        assert_eq!(reply.status, 401, "{}: {}", route.name(), reply.text);
        let _ = reply.refused(401, "unauthenticated");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
        refused += 1;
    }
    assert_eq!(refused, routes.len() - PUBLIC.len() - LOCAL.len());
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_credential_is_refused_by_every_route_that_looks_at_one() {
    let (service, traded, routes) = trading().await;
    let good = claims(ACME, Authority::Admin);
    let mut expired = good;
    expired.expires_at = expired.issued_at - 60;
    let valid = signed(&good, SECRET);
    let (head, rest) = valid.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    // The header decodes to {"alg":"none"}.
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
            // A visitor who needs no credential is still rejected with an invalid one.
            let path = match PUBLIC_OF_BUSINESS.contains(&route.name().as_str()) {
                true => format!(
                    "{}?business=acme",
                    route.with_id(&id_at_acme(route, &traded))
                ),
                false => route.with_id(&id_at_acme(route, &traded)),
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
async fn a_request_with_two_credentials_is_rejected() {
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
    let (service, traded, routes) = trading().await;
    let (mut allowed, mut forbidden) = (0, 0);
    for route in &routes {
        for authority in ROLES {
            let client = service.caller(ACME, authority);

            let what = format!("{} as {authority:?}", route.name());
            let id = id_at_acme(route, &traded);
            if may(route, authority) {
                let reply = route.send(&client, &id).await;
                // Two failures are expected: an admin's POST and PUT use the same SKU, and some secrets are valid only
                // once.
                let spent = OF_SPENT_SECRETS.contains(&route.path.as_str()) && reply.status == 401;
                let unsigned = route.is_signed() && reply.status == 400;
                let good = matches!(reply.status, 200..300 | 409) || spent || unsigned;
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
    let (service, traded, routes) = trading().await;
    let platform = service.platform();
    let before = service.database.digest().await;
    let mut forbidden = 0;
    for route in routes.iter().filter(|route| !is_public(route)) {
        if FOR_PLATFORM.contains(&route.name().as_str()) {
            assert!(route.is_platforms());
            continue;
        }
        let good = route.send(&platform, &id_at_acme(route, &traded)).await;
        let _ = good.refused(403, "forbidden");
        // The rejection does not depend on the named business or on other faults of the request.
        let path = format!("{}?business=acme", route.with_id("nonsense"));
        let request = platform
            .request(route.method.clone(), &path)
            .header("x-business-id", ACME.to_string())
            .body("{");
        let _ = platform.send(request).await.refused(403, "forbidden");
        forbidden += 1;
    }
    let let_in = PUBLIC.len() + LOCAL.len() + FOR_PLATFORM.len();
    assert_eq!(forbidden, routes.len() - let_in);
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_is_checked_before_id_query_headers_and_body() {
    let (service, _, routes) = trading().await;
    let mut tried = 0;
    for route in &routes {
        for authority in ROLES {
            if may(route, authority) {
                continue;
            }
            // The role is checked before the id, the query, the headers and the body, which are all invalid here.
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
async fn staff_set_no_credit_limit_and_no_hold() {
    let service = Service::start().await;
    let staff = service.staff();
    let before = service.database.digest().await;
    let path = format!("/api/customers/{ACME_CUSTOMER}");
    for decision in [
        json!({"credit_limit": "5000.00"}),
        json!({"credit_limit": "0"}),
        // Setting the current value is a decision too.
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
    // Staff may change all other members, and an admin may change these.
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
