//! These tests check that an admin changes a user's email address, which ends the user's logins.

use serde_json::json;
use tests::{Service, pointers};

use crate::access::users::{PASSWORD, add, log_in, logged_in, refresh, trail};

#[tokio::test(flavor = "multi_thread")]
async fn another_address_ends_all_logins_and_the_password_stays() {
    let service = Service::start().await;
    let admin = service.admin();
    let path = add(&service, "old@example.com", "staff").await;
    let (client, refresh_token) = logged_in(&service, "old@example.com").await;
    let change = json!({"email": "New@Example.com"});
    let changed = admin.patch(&path, &change).await.ok(200);
    assert_eq!(changed["email"], "new@example.com");
    assert_eq!(client.get("/api/auth/me").await.status, 401);
    let _ = refresh(&service, &refresh_token)
        .await
        .refused(401, "invalid_credentials");
    let _ = log_in(&service, "old@example.com", PASSWORD)
        .await
        .refused(401, "invalid_credentials");
    let (client, refresh_token) = logged_in(&service, "new@example.com").await;

    // The same address in another spelling is no change.
    for same in ["new@example.com", " NEW@example.com "] {
        let change = json!({"email": same});
        admin.patch(&path, &change).await.ok(200);
    }
    assert_eq!(client.get("/api/auth/me").await.status, 200);
    refresh(&service, &refresh_token).await.ok(200);

    let entries = trail(&service, &path).await;
    let entries: Vec<_> = entries
        .iter()
        .filter(|entry| entry["action"] == "user.email_changed")
        .collect();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["before"]["email"], "old@example.com");
    assert_eq!(entries[0]["after"]["email"], "new@example.com");
    // The old address is free again.
    add(&service, "old@example.com", "staff").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_or_malformed_address_changes_nothing() {
    let service = Service::start().await;
    let admin = service.admin();
    let path = add(&service, "clerk@example.com", "staff").await;
    let before = service.database.digest().await;
    let taken = json!({"email": "Admin@example.com", "name": "Other"});
    let reply = admin.patch(&path, &taken).await;
    assert_eq!(reply.refused(409, "already_exists")["field"], "email");
    for bad in [json!(""), json!("x"), json!("a@.."), json!(1)] {
        let reply = admin.patch(&path, &json!({"email": bad})).await;
        assert_eq!(pointers(&reply), ["/email"], "{bad}: {}", reply.text);
    }
    let faults = json!({"email": "x", "name": "", "role": "owner", "password": "correct horse"});
    let reply = admin.patch(&path, &faults).await;
    let expected = ["/email", "/name", "/role", "/password"];
    assert_eq!(pointers(&reply), expected, "{}", reply.text);
    assert_eq!(service.database.digest().await, before);
    // In another business the address is free.
    add(&service, "admin@globex.example", "staff").await;
}
