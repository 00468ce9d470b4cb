//! These tests check what requests with unknown businesses or credentials cost the database, and their audit entries.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Authority;
use domain::demo::{ACME, ACME_CUSTOMER, GLOBEX};
use entity::BusinessId;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Client, Service, until};

use crate::http::limits::limited;

/// A client with an API key of this business that was never issued.
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
    // A lookup of a business would now wait for the lock and fail with 503.
    let held = service.database.hold("LOCK TABLE businesses").await;
    for path in ["/api/orders", "/api/products", "/api/auth/me"] {
        let reply = forger(&service, BusinessId::new()).get(path).await;
        let _ = reply.refused(429, "rate_limited");
    }
    held.release().await;
    // A valid credential of a known business is not limited by the address.
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

/// Waits for this number of entries about refused access, and returns all of them.
async fn refusals(service: &Service, count: usize) -> Vec<Value> {
    let sql = "SELECT business_id, entity_type, entity_id, actor_role, after FROM audit_events
                WHERE action = 'access.refused' ORDER BY id";
    until("the entries are written", async || {
        service.database.rows(sql).await.len() >= count
    })
    .await;
    service.database.rows(sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_platform_endpoint_is_in_the_audit_trail_of_the_callers_business() {
    let service = Service::start().await;
    let request = service.admin().request(Method::POST, "/api/businesses");
    let _ = service
        .admin()
        .send(request.body("{}"))
        .await
        .refused(403, "forbidden");
    let entries = refusals(&service, 1).await;
    assert_eq!(entries[0]["business_id"], json!(ACME));
    assert_eq!(entries[0]["actor_role"], "admin");
    assert_eq!(
        entries[0]["after"],
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
    let entries: Vec<Value> = service.database.rows(sql).await;
    let actions: Vec<&str> = entries
        .iter()
        .map(|row| row["action"].as_str().unwrap())
        .collect();
    // The first reuse revokes the login; later ones are rejected because it is revoked.
    assert_eq!(
        actions,
        [
            "refresh_token.reused",
            "refresh_token.refused",
            "refresh_token.refused"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_and_a_void_token_leave_a_trace_and_a_made_up_key_none() {
    let service = Service::start().await;
    let admin = service.admin();
    let key = json!({"name": "Script", "role": "staff"});
    let key = admin.post("/api/api-keys", &key).await.ok(201);
    let script = service.bearer(key["key"].as_str().unwrap());
    let id = key["id"].as_str().unwrap();
    let request = admin.request(Method::DELETE, &format!("/api/api-keys/{id}"));
    assert_eq!(admin.send(request).await.status, 204);

    let user = json!({
        "email": "colleague@example.com", "name": "Colleague", "password": "correct horse", "role": "staff",
    });
    let user = admin.post("/api/users", &user).await.ok(201);
    let user = user["id"].as_str().unwrap();
    let login = json!({
        "business": "acme", "email": "colleague@example.com", "password": "correct horse",
    });
    let tokens = service
        .nobody()
        .post("/api/auth/login", &login)
        .await
        .ok(200);
    let colleague = service.bearer(tokens["access_token"].as_str().unwrap());
    let disabled = json!({"disabled": true});
    admin
        .patch(&format!("/api/users/{user}"), &disabled)
        .await
        .ok(200);

    let forger = forger(&service, ACME);
    for client in [&forger, &script, &colleague] {
        let _ = client
            .get("/api/orders")
            .await
            .refused(401, "unauthenticated");
    }
    let mut entries = refusals(&service, 2).await;
    entries.sort_by_key(|entry| entry["entity_type"].to_string());
    let after = json!({"method": "GET", "path": "/api/orders", "code": "unauthenticated"});
    let entry = |kind: &str, id: &str| {
        json!({
            "business_id": ACME, "entity_type": kind, "entity_id": id, "actor_role": "nobody", "after": after,
        })
    };
    assert_eq!(entries, [entry("api_key", id), entry("user", user)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn access_log_overflow_of_one_business_keeps_other_entries() {
    let service = Service::start().await;
    let (staff, stranger) = (service.staff(), service.stranger());
    // No audit entry can be written while the lock is held.
    let held = service.database.hold("LOCK TABLE audit_events").await;
    for _ in 0..300 {
        assert_eq!(staff.get("/api/users").await.status, 403);
    }
    // More distinct callers than the buffer keeps; each needs an entry of its own.
    for _ in 0..1100 {
        let caller = service.caller(ACME, Authority::Customer(ACME_CUSTOMER));
        assert_eq!(caller.get("/api/users").await.status, 403);
    }
    let request = stranger.request(Method::POST, "/api/businesses");
    assert_eq!(stranger.send(request.body("{}")).await.status, 403);
    held.release().await;
    let sql = format!(
        "SELECT count(*) FROM audit_events WHERE action = 'access.refused' AND business_id = '{GLOBEX}'"
    );
    until("the other business has its entry", async || {
        service.database.value(&sql).await == "1"
    })
    .await;
    let database = service.database.clone();
    service.stop().await;
    let sql = format!(
        "SELECT count(*), sum(coalesce((after ->> 'times')::bigint, 1)) AS times FROM audit_events
          WHERE action = 'access.refused' AND actor_role = 'staff' AND business_id = '{ACME}'"
    );
    assert_eq!(database.row(&sql).await, json!({"count": 2, "times": 300}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_has_its_own_rate_whatever_it_asks_for_and_pays_for_no_address() {
    let service = limited(|limits| {
        limits.rate_limit = "3/h".parse().unwrap();
        limits.rate_limit_address = "1/h".parse().unwrap();
    })
    .await;
    // The address has used up its rate.
    assert_eq!(service.nobody().get("/openapi.json").await.status, 200);
    assert_eq!(service.nobody().get("/openapi.json").await.status, 429);
    for path in ["/api/businesses", "/api/customers"] {
        let platform = service.platform();
        let status = async || {
            let request = platform.request(Method::POST, path).body("{}");
            platform.send(request).await.status
        };
        for _ in 0..3 {
            let expected = if path == "/api/businesses" { 422 } else { 403 };
            assert_eq!(status().await, expected, "{path}");
        }
        assert_eq!(status().await, 429, "{path}");
    }
}
