//! These tests check that the stored forms of secrets reveal nothing to a reader of the database.

use serde_json::json;
use tests::{Client, Service, all};

/// True if the stored hash of this request is a fast unkeyed hash, which would let an attacker try passwords.
async fn is_quick_hash(service: &Service, key: &str, path: &str, body: &str) -> bool {
    let asked = format!(r"'POST'::bytea || '\x00' || '{path}'::bytea || '\x00' || '{body}'::bytea");
    let sql = format!(
        "SELECT bool_or(request_hash IN (sha256({asked}), sha256('{body}'::bytea)))
           FROM idempotency_keys WHERE key = '{key}'"
    );
    match service.database.value(&sql).await.as_str() {
        "true" | "t" => true,
        "false" | "f" => false,
        other => panic!("no row has the key {key}: {other:?}"),
    }
}

async fn post_twice(client: &Client, key: &str, path: &str, body: &str) {
    let first = client
        .post_once(key, path, &serde_json::from_str(body).unwrap())
        .await;
    first.ok(201);
    let again = client
        .post_once(key, path, &serde_json::from_str(body).unwrap())
        .await;
    again.ok(201);
    assert_eq!(again.text, first.text);
    assert_eq!(again.header("idempotency-replayed"), "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stored_hash_of_a_request_with_a_password_cannot_be_guessed_without_the_secret() {
    let service = Service::start().await;
    let path = "/api/businesses";
    let body = json!({
        "name": "Initech", "slug": "initech", "currency": "EUR",
        "admin": {"email": "admin@initech.example", "password": "correct horse battery"},
    });
    post_twice(&service.platform(), "k", path, &body.to_string()).await;
    assert!(!is_quick_hash(&service, "k", path, &body.to_string()).await);

    let path = "/api/users";
    let body = json!({
        "email": "colleague@example.com", "name": "Colleague", "password": "correct horse", "role": "staff",
    });
    post_twice(&service.admin(), "k2", path, &body.to_string()).await;
    assert!(!is_quick_hash(&service, "k2", path, &body.to_string()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_retries_create_one_user_and_return_the_same_response() {
    let (one, two) = Service::two().await;
    let body = json!({
        "email": "colleague@example.com", "name": "Colleague", "password": "correct horse", "role": "staff",
    });
    let admin = one.admin();
    let replies = all((0..8).map(|number| {
        let client = if number % 2 == 0 {
            admin.clone()
        } else {
            admin.at(&two)
        };
        let body = body.clone();
        async move { client.post_once("k", "/api/users", &body).await }
    }))
    .await;
    for reply in &replies {
        reply.ok(201);
        assert_eq!(reply.text, replies[0].text);
        assert!(reply.header("location").starts_with("/api/users/"));
    }
    let fresh = replies
        .iter()
        .filter(|reply| reply.header("idempotency-replayed").is_empty());
    assert_eq!(fresh.count(), 1);
    // Another body under the key is rejected, and without the key the address is taken.
    let mut other = body.clone();
    other["password"] = json!("another horse");
    let reply = admin.post_once("k", "/api/users", &other).await;
    let _ = reply.refused(422, "idempotency_key_reused");
    let _ = admin
        .post("/api/users", &body)
        .await
        .refused(409, "already_exists");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_share_a_secret_know_each_others_requests() {
    let (one, two) = Service::two().await;
    let (admin, body) = (one.admin(), json!({"name": "Newcomer"}));
    let first = admin.post_once("k", "/api/customers", &body).await;
    first.ok(201);
    let again = admin.at(&two).post_once("k", "/api/customers", &body).await;
    again.ok(201);
    assert_eq!(again.text, first.text);
    let other = json!({"name": "Another"});
    let reply = admin
        .at(&two)
        .post_once("k", "/api/customers", &other)
        .await;
    let _ = reply.refused(422, "idempotency_key_reused");
}
