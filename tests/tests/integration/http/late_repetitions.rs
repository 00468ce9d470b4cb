//! These tests check retries that arrive after the stored response was deleted.

use domain::foundation::idempotency;
use entity::BusinessId;
use serde_json::json;
use tests::{SERVICE, Service};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_has_made_a_business_says_so_for_ever() {
    let service = Service::start().await;
    let (platform, path) = (service.platform(), "/api/businesses");
    let body = |slug: &str| {
        json!({
            "name": "Initech", "slug": slug, "currency": "EUR",
            "admin": {"email": "admin@initech.example", "password": "correct horse battery"},
        })
    };
    let made = platform
        .post_once("k", path, &body("initech"))
        .await
        .ok(201);
    let id: BusinessId = made["id"].as_str().unwrap().parse().unwrap();
    service
        .database
        .execute("UPDATE idempotency_keys SET created_at = created_at - interval '26 hours'")
        .await;
    let database = domain::Database::new(&service.database.url(SERVICE), 1).unwrap();
    assert_eq!(idempotency::delete_expired(&database, id).await.unwrap(), 1);
    for slug in ["initech", "initech", "initech-2"] {
        let reply = platform.post_once("k", path, &body(slug)).await;
        let _ = reply.refused(409, "idempotency_key_expired");
    }
    platform
        .post_once("k2", path, &body("initech-2"))
        .await
        .ok(201);
}
