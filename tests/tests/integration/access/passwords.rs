//! Passwords: one is the same on every keyboard, and those that were chosen before a rule stay good.

use serde_json::json;
use tests::{Reply, Service};

async fn log_in(service: &Service, email: &str, password: &str) -> Reply {
    let body = json!({"business": "acme", "email": email, "password": password});
    service.nobody().post("/api/auth/login", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_the_same_however_a_keyboard_composes_it() {
    let service = Service::start().await;
    let chosen = "cafe\u{301} \u{ff11}\u{ff12} horses";
    let user = json!({"email": "n@example.com", "name": "N", "password": chosen, "role": "staff"});
    service.admin().post("/api/users", &user).await.ok(201);
    for typed in [chosen, "caf\u{e9} 12 horses", "cafe\u{301} 12 horses"] {
        log_in(&service, "n@example.com", typed).await.ok(200);
    }
    for wrong in [
        "cafe 12 horses",
        "CAF\u{c9} 12 horses",
        " caf\u{e9} 12 horses",
    ] {
        let _ = log_in(&service, "n@example.com", wrong)
            .await
            .refused(401, "invalid_credentials");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_before_the_rules_still_logs_in() {
    let service = Service::start().await;
    // What the demo's users have would be refused today.
    log_in(&service, "admin@example.com", "admin123")
        .await
        .ok(200);
    let user =
        json!({"email": "n@example.com", "name": "N", "password": "admin123", "role": "staff"});
    let refused = service.admin().post("/api/users", &user).await;
    let refused = refused.refused(422, "validation_failed");
    assert_eq!(refused["errors"][0]["pointer"], "/password");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admins_password_is_neither_its_address_nor_its_business() {
    let service = Service::start().await;
    for weak in ["initech2024", "admin@initech.example", "Initech Ltd."] {
        let body = json!({"name": "Initech Ltd.", "slug": "initech", "currency": "EUR",
                          "admin": {"email": "admin@initech.example", "password": weak}});
        let refused = service.platform().post("/api/businesses", &body).await;
        let refused = refused.refused(422, "validation_failed");
        assert_eq!(refused["errors"][0]["pointer"], "/admin/password", "{weak}");
    }
}
