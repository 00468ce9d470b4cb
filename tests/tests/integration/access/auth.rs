//! These tests check logins with a password, and the identity that a token carries.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use domain::demo::{ACME, ACME_CUSTOMER, GLOBEX};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Reply, Service};

async fn log_in(service: &Service, business: &str, email: &str, password: &str) -> Reply {
    let body = json!({"business": business, "email": email, "password": password});
    service.nobody().post("/api/auth/login", &body).await
}

async fn token(service: &Service, business: &str, email: &str, password: &str) -> String {
    let granted = log_in(service, business, email, password).await.ok(200);
    granted["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn login_returns_a_valid_uncacheable_token() {
    let service = Service::start().await;
    for business in [
        "acme".to_owned(),
        ACME.to_string(),
        ACME.to_string().to_uppercase(),
    ] {
        for email in ["admin@example.com", "Admin@Example.COM"] {
            let reply = log_in(&service, &business, email, "admin123").await;
            let granted = reply.ok(200);
            assert_eq!(reply.header("cache-control"), "no-store");
            assert_eq!(granted["token_type"], "Bearer");
            assert_eq!(granted["expires_in"], 3600);
            let client = service.bearer(granted["access_token"].as_str().unwrap());
            let me = client.get("/api/auth/me").await.ok(200);
            assert_eq!(me["email"], "admin@example.com");
            assert_eq!(me["role"], "admin");
            assert_eq!(me["customer_id"], Value::Null);
            assert_eq!(
                me["business"],
                json!({"id": ACME, "slug": "acme", "name": "Acme Supplies", "currency": "USD", "block_after_days": null,
                       "time_zone": "UTC", "books_closed_until": null,
                       "hold_limits": {"units": null, "value": null, "self_registered_units": 20, "self_registered_value": null}})
            );
            let path = format!("/api/customers/{ACME_CUSTOMER}");
            let changed = client.patch(&path, &json!({"on_hold": false})).await;
            assert_eq!(changed.status, 200, "{}", changed.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_login_acts_for_its_customer() {
    let service = Service::start().await;
    let token = token(&service, "acme", "customer@example.com", "customer123").await;
    let client = service.bearer(&token);
    let me = client.get("/api/auth/me").await.ok(200);
    assert_eq!(me["role"], "customer");
    assert_eq!(me["customer_id"], json!(ACME_CUSTOMER));
    assert_eq!(me["name"], "Example Buyer");
    // The audit trail names the token's user.
    let items = json!([{"product_id": domain::demo::ACME_KEYBOARD, "quantity": 1}]);
    let receipt = client
        .post("/api/purchase", &json!({"items": items}))
        .await
        .ok(201);
    assert_eq!(receipt["customer_id"], json!(ACME_CUSTOMER));
    let sql = format!(
        "SELECT actor_id FROM audit_events WHERE entity_id = {}",
        receipt["order_id"]
    )
    .replace('"', "'");
    assert_eq!(service.database.row(&sql).await["actor_id"], me["user_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scripts_token_has_no_user_and_says_so() {
    let service = Service::start().await;
    let me = service.staff().get("/api/auth/me").await.ok(200);
    assert_eq!((&me["email"], &me["name"]), (&Value::Null, &Value::Null));
    assert_eq!(me["role"], "staff");
    assert_eq!(me["business"]["slug"], "acme");
    let me = service.customer().get("/api/auth/me").await.ok(200);
    assert_eq!(me["customer_id"], json!(ACME_CUSTOMER));
    let me = service.stranger().get("/api/auth/me").await.ok(200);
    assert_eq!(me["business"]["id"], json!(GLOBEX));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failed_login_gets_the_same_bytes() {
    let service = Service::start().await;
    let nobody = service.nobody();
    let mut answers = Vec::new();
    for (business, email, password) in [
        ("acme", "admin@example.com", "wrong"),
        ("acme", "admin@example.com", "Admin123"),
        ("acme", "admin@example.com", "admin123 "),
        ("acme", "admin@example.com", "admin123\u{0}"),
        ("acme", "nobody@example.com", "admin123"),
        ("acme", "not an address", "admin123"),
        ("acme", "admin@example.com%", "admin123"),
        // A user of another business is unknown here.
        ("acme", "admin@globex.example", "admin123"),
        ("globex", "admin@example.com", "admin123"),
        ("initech", "admin@example.com", "admin123"),
        (
            "11111111-2222-3333-4444-555555555555",
            "admin@example.com",
            "admin123",
        ),
        ("acme' OR '1'='1", "admin@example.com", "admin123"),
        ("ACME", "admin@example.com", "admin123"),
    ] {
        let body = json!({"business": business, "email": email, "password": password});
        let request = nobody
            .request(Method::POST, "/api/auth/login")
            .header("x-request-id", "the-same")
            .body(body.to_string());
        let reply = nobody.send(request).await;
        assert_eq!(reply.status, 401, "{business} {email}: {}", reply.text);
        let _ = reply.refused(401, "invalid_credentials");
        // A set, because the server's header map has no fixed order.
        let headers: BTreeSet<String> = reply
            .headers
            .iter()
            .filter(|(name, _)| *name != "date")
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        answers.push((headers, reply.text));
    }
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_or_a_business_that_nobody_has_takes_as_long_as_a_wrong_password() {
    let service = Service::start().await;
    // The minimum of several attempts, because other load on this machine can only add time.
    let quickest = async |business: &str, email: &str| {
        let mut best = Duration::MAX;
        for _ in 0..7 {
            let started = Instant::now();
            let reply = log_in(&service, business, email, "wrong").await;
            best = best.min(started.elapsed());
            let _ = reply.refused(401, "invalid_credentials");
        }
        best
    };
    let _ = quickest("acme", "warm@example.com").await;
    let wrong = quickest("acme", "admin@example.com").await;
    let no_address = quickest("acme", "nobody@example.com").await;
    let no_business = quickest("initech", "admin@example.com").await;
    let sql = "UPDATE users SET disabled_at = now() WHERE email = 'customer@example.com'";
    service.database.execute(sql).await;
    let disabled = quickest("acme", "customer@example.com").await;
    println!(
        "wrong password {wrong:?}, no address {no_address:?}, no business {no_business:?}, disabled {disabled:?}"
    );
    assert!(wrong * 3 > no_address, "{no_address:?} {wrong:?}");
    assert!(
        wrong * 3 > disabled && disabled * 3 > wrong,
        "{disabled:?} {wrong:?}"
    );
    assert!(no_address * 3 > wrong, "{no_address:?} {wrong:?}");
    assert!(no_business * 3 > wrong, "{no_business:?} {wrong:?}");
    // The hash takes long enough to protect the password.
    assert!(wrong > Duration::from_millis(2), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_has_a_password_or_its_hash_in_it() {
    let service = Service::start().await;
    let mut texts = Vec::new();
    for password in ["admin123", "hunter2-wrong"] {
        texts.push(
            log_in(&service, "acme", "admin@example.com", password)
                .await
                .text,
        );
    }
    let secret = "hunter2-in-a-bad-request";
    for body in [
        json!({"business": "acme", "email": 1, "password": secret}),
        json!({"business": "acme", "email": "a@b", "password": [secret]}),
        json!({"business": "acme", "email": "a@b", "password": secret.repeat(30)}),
        json!({"business": "acme", "email": "a@b", "passwort": secret}),
    ] {
        let reply = service.nobody().post("/api/auth/login", &body).await;
        let _ = reply.refused(422, "validation_failed");
        texts.push(reply.text);
    }
    let token = token(&service, "acme", "admin@example.com", "admin123").await;
    let client = service.bearer(&token);
    for path in ["/api/auth/me", "/metrics"] {
        texts.push(client.get(path).await.text);
    }
    // The document shows the demo's login as an example.
    let document = client.get("/openapi.json").await.text;
    texts.push(document.replace("admin123", ""));
    for text in texts {
        for secret in ["admin123", "hunter2", "argon2", "password_hash"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    // No password is stored as plain text either.
    let kept = "SELECT count(*) FROM users WHERE password_hash LIKE '$argon2id$%' AND password_hash NOT LIKE '%123%'";
    let users = service.database.value("SELECT count(*) FROM users").await;
    assert_eq!(service.database.value(kept).await, users);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_lasts_as_long_as_the_settings_say() {
    let mut settings = tests::settings();
    settings.token_seconds = 77;
    let database = tests::Database::with_demo().await;
    let url = database.url(tests::SERVICE);
    let service = Service::with(database, &url, &settings).await;
    let granted = log_in(&service, "acme", "admin@example.com", "admin123")
        .await
        .ok(200);
    assert_eq!(granted["expires_in"], 77);
    let token = granted["access_token"].as_str().unwrap();
    let keys = tradeline::access::token::Keys::new(tests::SECRET.as_bytes()).unwrap();
    let tradeline::access::token::Verified::Own(claims) = keys.verify(token).unwrap() else {
        panic!("a login gives a token of a business");
    };
    assert_eq!(claims.expires_at - claims.issued_at, 77);
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_at_once_all_get_their_own_answer() {
    let service = std::sync::Arc::new(Service::start().await);
    let tries = (0..24).map(|number| {
        let service = service.clone();
        tokio::spawn(async move {
            let (email, password, role) = match number % 3 {
                0 => ("admin@example.com", "admin123", Some("admin")),
                1 => ("customer@example.com", "customer123", Some("customer")),
                _ => ("customer@example.com", "admin123", None),
            };
            let reply = log_in(&service, "acme", email, password).await;
            let Some(role) = role else {
                let _ = reply.refused(401, "invalid_credentials");
                return;
            };
            let granted = reply.ok(200);
            let client = service.bearer(granted["access_token"].as_str().unwrap());
            let me = client.get("/api/auth/me").await.ok(200);
            assert_eq!(me["role"], role);
            assert_eq!(me["email"], email);
        })
    });
    for one in tries.collect::<Vec<_>>() {
        one.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_passwords_are_hashed_the_one_thread_that_serves_goes_on_serving() {
    let mut settings = tests::settings();
    settings.workers = Some(1);
    let database = tests::Database::with_demo().await;
    let url = database.url(tests::SERVICE);
    let service = std::sync::Arc::new(Service::with(database, &url, &settings).await);
    let admin = service.admin();
    let _ = admin.get("/api/auth/me").await.ok(200);
    let logins: Vec<_> = (0..4)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move {
                let reply = log_in(&service, "acme", "admin@example.com", "admin123").await;
                let _ = reply.ok(200);
            })
        })
        .collect();
    // At most two passwords are hashed at the same time. Other requests are served meanwhile, each in less than one
    // hash.
    let mut served = 0;
    while !logins.iter().any(tokio::task::JoinHandle::is_finished) {
        let _ = admin.get("/api/auth/me").await.ok(200);
        served += 1;
    }
    assert!(served >= 3, "{served}");
    for login in logins {
        login.await.unwrap();
    }
}
