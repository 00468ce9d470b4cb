//! These tests check rate limits.

use std::time::Duration;

use domain::Authority;
use domain::demo::{ACME, ACME_HEADPHONES, GLOBEX};
use entity::UserId;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tests::{Client, Database, Reply, Route, SERVICE, Service, all, settings};
use tradeline::http::limits::LimitSettings;

/// Starts a service with rate limits that no test reaches, except those that `set` changes.
pub(crate) async fn limited(set: impl FnOnce(&mut LimitSettings)) -> Service {
    let mut settings = settings();
    settings.limits.rate_limit = "100000/h".parse().unwrap();
    settings.limits.rate_limit_address = "100000/h".parse().unwrap();
    settings.limits.rate_limit_login = "100000/h".parse().unwrap();
    settings.limits.rate_limit_account = "100000/h".parse().unwrap();
    set(&mut settings.limits);
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    Service::with(database, &url, &settings).await
}

pub(crate) async fn login(client: &Client, business: &str, email: &str) -> Reply {
    let body = json!({"business": business, "email": email, "password": "wrong one"});
    client.post("/api/auth/login", &body).await
}

/// Asserts a 429 and returns its `Retry-After`, in seconds.
#[track_caller]
pub(crate) fn assert_limited(reply: &Reply) -> u64 {
    let body = reply.refused(429, "rate_limited");
    assert!(body["detail"].is_string());
    let seconds = reply.header("retry-after").parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
    seconds
}

/// Sends this many requests and returns the number that were not rejected by the limit.
async fn let_through(count: usize, mut send: impl AsyncFnMut() -> Reply) -> usize {
    let mut passed = 0;
    for _ in 0..count {
        match send().await {
            reply if reply.status == 429 => {
                assert_limited(&reply);
            }
            _ => passed += 1,
        }
    }
    passed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_gets_its_rate_and_no_other_pays_for_it() {
    let service = limited(|limits| limits.rate_limit = "5/h".parse().unwrap()).await;
    let busy = service.admin();
    assert_eq!(
        let_through(8, async || busy.get("/api/orders").await).await,
        5
    );
    // The limit is checked before the path, the role and the parameters.
    for path in [
        "/api/auth/me",
        "/api/orders?typo=1",
        "/api/customers/nonsense",
    ] {
        assert_limited(&busy.get(path).await);
    }
    // Not affected are others at the same address, the same user id in another business, and requests without a
    // credential.
    assert_eq!(service.admin().get("/api/orders").await.status, 200);
    let user = UserId::new();
    let (here, there) = (
        service.caller_as(user, ACME, Authority::Admin),
        service.caller_as(user, GLOBEX, Authority::Admin),
    );
    assert_eq!(
        let_through(6, async || here.get("/api/orders").await).await,
        5
    );
    assert_eq!(there.get("/api/orders").await.status, 200);
    let visitor = service.nobody().get("/api/products?business=acme").await;
    assert_eq!(visitor.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_has_a_rate_like_every_credential_and_its_refused_calls_count() {
    let service = limited(|limits| {
        limits.rate_limit = "5/h".parse().unwrap();
        limits.rate_limit_address = "1/h".parse().unwrap();
    })
    .await;
    // The address has reached its limit, which is independent of the platform's.
    let nobody = service.nobody();
    assert_eq!(nobody.get("/api/orders").await.status, 401);
    assert_limited(&nobody.get("/api/orders").await);
    let platform = service.platform();
    let mut turn = 0;
    let passed = let_through(8, async || {
        turn += 1;
        match turn % 2 {
            0 => platform.post("/api/businesses", &json!({})).await,
            _ => platform.get("/api/orders").await,
        }
    })
    .await;
    assert_eq!(passed, 5);
    // Rejected attempts by other roles count against their own rate.
    let admin = service.admin();
    let tries = async || admin.post("/api/businesses", &json!({})).await;
    assert_eq!(let_through(8, tries).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_retry_after_is_served() {
    let service = limited(|limits| limits.rate_limit = "1/s".parse().unwrap()).await;
    let client = service.admin();
    for _ in 0..2 {
        // The requests are concurrent and many, so that some are rejected even on a slow machine.
        let replies = all((0..30).map(|_| {
            let client = client.clone();
            async move { client.get("/api/auth/me").await }
        }))
        .await;
        let refused = replies.iter().find(|reply| reply.status == 429).unwrap();
        let wait = assert_limited(refused);
        assert_eq!(wait, 1);
        tokio::time::sleep(Duration::from_secs(wait)).await;
        assert_eq!(client.get("/api/auth/me").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_does_nothing() {
    let service = limited(|limits| limits.rate_limit = "1/h".parse().unwrap()).await;
    let client = service.admin();
    assert_eq!(client.buy(&[(ACME_HEADPHONES, 1)]).await.status, 201);
    let before = service.database.digest().await;
    assert_limited(&client.buy(&[(ACME_HEADPHONES, 1)]).await);
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_credential_the_address_gets_its_rate_on_every_path() {
    let service = limited(|limits| limits.rate_limit_address = "12/h".parse().unwrap()).await;
    let nobody = service.nobody();
    let forged = service.bearer("forged");
    let mut turn = 0;
    let passed = let_through(16, async || {
        turn += 1;
        match turn % 6 {
            0 => nobody.get("/api/products?business=acme").await,
            1 => nobody.get("/api/products?business=initech").await,
            2 => nobody.get("/api/orders").await,
            3 => forged.get("/api/orders").await,
            4 => nobody.get("/api/there/is/no/such/path").await,
            _ => nobody.get("/openapi.json").await,
        }
    })
    .await;
    assert_eq!(passed, 12);
    assert_limited(&forged.get("/api/orders").await);
    assert_limited(&nobody.get("/docs/").await);
    assert_limited(&nobody.get("/nothing").await);
    for path in ["/", "/shop/acme", "/shop/nobody", "/shop/acme/login"] {
        let page = nobody.get(path).await;
        assert_eq!(page.status, 429, "{path}: {}", page.text);
        assert!(!page.header("retry-after").is_empty());
    }
    // A valid credential is not limited by other requests from its address.
    assert_eq!(service.staff().get("/api/orders").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_are_never_limited() {
    let service = limited(|limits| limits.rate_limit_address = "1/h".parse().unwrap()).await;
    let nobody = service.nobody();
    assert_eq!(nobody.get("/openapi.json").await.status, 200);
    assert_limited(&nobody.get("/openapi.json").await);
    for _ in 0..5 {
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(nobody.get(path).await.status, 200, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_from_one_address_have_a_tighter_limit_of_their_own() {
    let service = limited(|limits| limits.rate_limit_login = "4/h".parse().unwrap()).await;
    let nobody = service.nobody();
    let mut number = 0;
    let passed = let_through(7, async || {
        number += 1;
        login(&nobody, "acme", &format!("user{number}@example.com")).await
    })
    .await;
    assert_eq!(passed, 4);
    // Malformed requests are limited as well.
    let garbage = nobody.request(Method::POST, "/api/auth/login").body("{");
    assert_limited(&nobody.send(garbage).await);
    let reply = nobody.get("/api/products?business=acme").await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_account_is_one_however_its_name_is_written_and_whether_or_not_it_exists() {
    let service = limited(|limits| limits.rate_limit_account = "3/h".parse().unwrap()).await;
    let nobody = service.nobody();
    for email in ["admin@example.com", "nobody@example.com"] {
        let mut spellings = [
            email.to_owned(),
            email.to_uppercase(),
            email.replace('a', "A"),
            email.to_owned(),
        ]
        .into_iter();
        let passed = let_through(4, async || {
            login(&nobody, "acme", &spellings.next().unwrap()).await
        })
        .await;
        assert_eq!(passed, 3, "{email}");
    }
    let id = ACME.to_string();
    let mut spellings = [
        id.clone(),
        id.to_uppercase(),
        id.replace('-', ""),
        format!("{{{id}}}"),
        format!("urn:uuid:{id}"),
    ]
    .into_iter();
    let passed = let_through(5, async || {
        login(&nobody, &spellings.next().unwrap(), "customer@example.com").await
    })
    .await;
    assert_eq!(passed, 3);
    // The right password does not bypass the limit, and another account has a limit of its own.
    let right = json!({"business": "acme", "email": "admin@example.com", "password": "admin123"});
    assert_limited(&nobody.post("/api/auth/login", &right).await);
    let other =
        json!({"business": "globex", "email": "admin@globex.example", "password": "admin123"});
    assert_eq!(nobody.post("/api/auth/login", &other).await.status, 200);
}

fn from(request: RequestBuilder, addresses: &str) -> RequestBuilder {
    request.header("x-forwarded-for", addresses)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_address_counts_only_when_a_trusted_proxy_says_it() {
    let service = limited(|limits| limits.rate_limit_address = "2/h".parse().unwrap()).await;
    let nobody = service.nobody();
    let get = || nobody.request(Method::GET, "/openapi.json");
    let mut number = 0;
    let passed = let_through(4, async || {
        number += 1;
        nobody.send(from(get(), &format!("192.0.2.{number}"))).await
    })
    .await;
    assert_eq!(passed, 2, "an untrusted client cannot choose its address");

    let service = limited(|limits| {
        limits.rate_limit_address = "2/h".parse().unwrap();
        limits.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let nobody = service.nobody();
    let get = || nobody.request(Method::GET, "/openapi.json");
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8:1::1"] {
        let mut number = 0;
        let passed = let_through(4, async || {
            number += 1;
            // The proxy appends the client's address on the right; anything to the left was written by the client.
            let said = format!("198.51.100.{number}, {client}");
            nobody.send(from(get(), &said)).await
        })
        .await;
        assert_eq!(passed, 2, "{client}");
    }
    let neighbour = from(get(), "2001:db8:1:0:ffff::7");
    assert_limited(&nobody.send(neighbour).await);
    let elsewhere = from(get(), "2001:db8:1:1::1");
    assert_eq!(nobody.send(elsewhere).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn off_is_off() {
    let service = Service::start().await;
    let nobody = service.nobody();
    let admin = service.admin();
    for _ in 0..700 {
        assert_eq!(admin.get("/api/auth/me").await.status, 200);
        assert_eq!(nobody.get("/api/orders").await.status, 401);
    }
    for _ in 0..12 {
        let _ = login(&nobody, "acme", "admin@example.com")
            .await
            .refused(401, "invalid_credentials");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_documents_that_it_may_be_limited() {
    let service = Service::start().await;
    for route in Route::all(&service).await {
        let limited = &route.operation["responses"]["429"];
        assert_eq!(
            limited["x-codes"],
            json!(["rate_limited"]),
            "{}",
            route.name()
        );
        assert!(limited["headers"]["Retry-After"].is_object());
    }
}
