//! These tests check the audit entries of failed logins, and that these logins cost no database lock.

use std::time::Duration;

use domain::demo::ACME;
use serde_json::{Value, json};
use tests::Service;

async fn log_in(service: &Service, email: &str, password: &str) -> u16 {
    let body = json!({"business": "acme", "email": email, "password": password});
    service.nobody().post("/api/auth/login", &body).await.status
}

async fn failures(service: &Service) -> Vec<Value> {
    let sql = format!(
        "SELECT after FROM audit_events WHERE business_id = '{ACME}' AND action = 'login.failed' ORDER BY id"
    );
    let rows: Vec<Value> = service.database.rows(&sql).await;
    rows.into_iter().map(|row| row["after"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_email_address_is_not_logged() {
    let service = Service::start().await;
    assert_eq!(log_in(&service, "correct horse battery", "x").await, 401);
    assert_eq!(log_in(&service, "Nobody@Example.com", "x").await, 401);
    assert_eq!(
        failures(&service).await,
        [
            json!({"reason": "unknown_address", "email": null}),
            json!({"reason": "unknown_address", "email": "Nobody@Example.com"}),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_user_waits_for_nothing_that_a_wrong_password_does_not_wait_for() {
    let service = Service::start().await;
    let sql = "UPDATE users SET disabled_at = now() WHERE email = 'admin@example.com'";
    service.database.execute(sql).await;
    // A login that locked the user's row would now wait.
    let lock = "SELECT 1 FROM users WHERE email = 'admin@example.com' FOR UPDATE";
    let held = service.database.hold(lock).await;
    let answers = async {
        assert_eq!(
            log_in(&service, "admin@example.com", "wrong one").await,
            401
        );
        assert_eq!(log_in(&service, "admin@example.com", "admin123").await, 401);
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), answers);
    assert!(in_time.await.is_ok());
    held.release().await;
    let entries = failures(&service).await;
    assert_eq!(
        entries,
        [
            json!({"reason": "wrong_password"}),
            json!({"reason": "disabled"})
        ]
    );
}
