//! These tests check that guessing a password is slow and does not lock out its user.

use domain::demo::ACME;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tests::{Client, Database, Reply, SERVICE, Service, settings};

/// Starts a service that trusts its proxy and allows three login attempts per account and address.
async fn guarded() -> Service {
    let mut settings = settings();
    let never = "100000/h".parse().unwrap();
    settings.limits.rate_limit = never;
    settings.limits.rate_limit_address = never;
    settings.limits.rate_limit_login = never;
    settings.limits.rate_limit_account = "3/h".parse().unwrap();
    settings.limits.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    Service::with(database, &url, &settings).await
}

fn login(business: &str, password: &str) -> Value {
    json!({"business": business, "email": "admin@example.com", "password": password})
}

async fn post_from(client: &Client, address: &str, path: &str, body: &Value) -> Reply {
    let request: RequestBuilder = client.request(reqwest::Method::POST, path);
    let request = request.header("x-forwarded-for", address);
    client.send(request.body(body.to_string())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_one_by_its_businesss_slug_and_id() {
    let service = guarded().await;
    let nobody = service.nobody();
    let id = ACME.to_string();
    for business in ["acme", &id, "acme"] {
        let reply = nobody
            .post("/api/auth/login", &login(business, "wrong one"))
            .await;
        let _ = reply.refused(401, "invalid_credentials");
    }
    for business in ["acme", &id] {
        let reply = nobody
            .post("/api/auth/login", &login(business, "admin123"))
            .await;
        let _ = reply.refused(429, "rate_limited");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_one_address_nobody_keeps_a_user_out_at_another() {
    let service = guarded().await;
    let (nobody, path) = (service.nobody(), "/api/auth/login");
    for _ in 0..40 {
        post_from(&nobody, "192.0.2.1", path, &login("acme", "wrong one")).await;
    }
    let reply = post_from(&nobody, "192.0.2.1", path, &login("acme", "admin123")).await;
    let _ = reply.refused(429, "rate_limited");
    let reply = post_from(&nobody, "192.0.2.2", path, &login("acme", "admin123")).await;
    reply.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn from_all_addresses_together_an_account_has_ten_times_as_many_tries() {
    let service = guarded().await;
    let (nobody, path) = (service.nobody(), "/api/auth/login");
    let mut passed = 0;
    for number in 0..40 {
        let address = format!("192.0.2.{number}");
        let reply = post_from(&nobody, &address, path, &login("acme", "wrong one")).await;
        passed += u32::from(reply.status != 429);
    }
    assert_eq!(passed, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_do_not_count_towards_the_limit_of_logins() {
    let service = guarded().await;
    let nobody = service.nobody();
    let registration = json!({
        "business": "acme", "email": "admin@example.com", "password": "correct horse", "name": "Me",
    });
    for status in [409, 409, 409, 429] {
        let reply = nobody.post("/api/auth/register", &registration).await;
        assert_eq!(reply.status, status, "{}", reply.text);
    }
    let reply = nobody
        .post("/api/auth/login", &login("acme", "admin123"))
        .await;
    reply.ok(200);
}
