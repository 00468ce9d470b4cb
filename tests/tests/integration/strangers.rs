//! What requests of nobody cost the database, and what they leave in the trail.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::demo::ACME;
use entity::BusinessId;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Client, Database, SERVICE, Service, settings, until};
use tradeline::config::LimitSettings;

async fn limited(set: impl FnOnce(&mut LimitSettings)) -> Service {
    let mut settings = settings();
    let never = "100000/h".parse().unwrap();
    settings.limits.rate_limit = never;
    settings.limits.rate_limit_address = never;
    settings.limits.rate_limit_login = never;
    settings.limits.rate_limit_account = never;
    set(&mut settings.limits);
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    Service::with(database, &url, &settings).await
}

/// Someone with a key of this business that nobody has made.
fn forger(service: &Service, business: BusinessId) -> Client {
    let business = URL_SAFE_NO_PAD.encode(business.0);
    service.bearer(&format!("tl_live_{business}{}", "A".repeat(43)))
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_businesses_are_not_even_looked_for_beyond_the_rate_of_an_address() {
    let service = limited(|limits| limits.rate_limit_address = "3/h".parse().unwrap()).await;
    let admin = service.admin();
    admin.get("/api/auth/me").await.ok(200);
    for _ in 0..3 {
        let reply = forger(&service, BusinessId::new()).get("/api/orders").await;
        let _ = reply.refused(401, "unauthenticated");
    }
    // Whoever looks for a business now waits.
    let held = service.database.hold("LOCK TABLE businesses").await;
    let started = Instant::now();
    for path in ["/api/orders", "/api/products", "/api/auth/me"] {
        let reply = forger(&service, BusinessId::new()).get(path).await;
        let _ = reply.refused(429, "rate_limited");
    }
    assert!(started.elapsed() < Duration::from_secs(1));
    held.release().await;
    // A good credential of a business that is known pays for nobody, and a bad one counts once.
    admin.get("/api/auth/me").await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_key_counts_once() {
    let service = limited(|limits| limits.rate_limit_address = "4/h".parse().unwrap()).await;
    service.admin().get("/api/auth/me").await.ok(200);
    for business in [BusinessId::new(), ACME, BusinessId::new(), ACME] {
        let reply = forger(&service, business).get("/api/orders").await;
        let _ = reply.refused(401, "unauthenticated");
    }
    let reply = forger(&service, ACME).get("/api/orders").await;
    let _ = reply.refused(429, "rate_limited");
}

/// The entries about refused accesses, once there are so many.
async fn refusals(service: &Service, count: usize) -> Vec<Value> {
    let sql = "SELECT business_id, entity_type, entity_id, actor_role, after FROM audit_events
                WHERE action = 'access.refused' ORDER BY id";
    until("they are written", async || {
        service.database.rows(sql).await.len() >= count
    })
    .await;
    service.database.rows(sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_of_a_business_tries_what_is_the_platforms_is_in_its_trail() {
    let service = Service::start().await;
    let request = service.admin().request(Method::POST, "/api/businesses");
    let _ = service
        .admin()
        .send(request.body("{}"))
        .await
        .refused(403, "forbidden");
    let told = refusals(&service, 1).await;
    assert_eq!(told[0]["business_id"], json!(ACME));
    assert_eq!(told[0]["actor_role"], "admin");
    assert_eq!(
        told[0]["after"],
        json!({"method": "POST", "path": "/api/businesses", "code": "forbidden"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_of_a_login_that_was_ended_leaves_a_trace() {
    let service = Service::start().await;
    let nobody = service.nobody();
    let login = json!({"business": "acme", "email": "admin@example.com", "password": "admin123"});
    let tokens = nobody.post("/api/auth/login", &login).await.ok(200);
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    nobody.post("/api/auth/refresh", &refresh).await.ok(200);
    for _ in 0..3 {
        let reply = nobody.post("/api/auth/refresh", &refresh).await;
        let _ = reply.refused(401, "invalid_credentials");
    }
    let sql = "SELECT action FROM audit_events WHERE action LIKE 'refresh_token.%' ORDER BY id";
    let told: Vec<Value> = service.database.rows(sql).await;
    let actions: Vec<&str> = told
        .iter()
        .map(|row| row["action"].as_str().unwrap())
        .collect();
    // The first repetition ends the login, the others find it ended.
    assert_eq!(
        actions,
        [
            "refresh_token.reused",
            "refresh_token.refused",
            "refresh_token.refused"
        ]
    );
}
