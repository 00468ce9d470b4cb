//! These tests check password resets: codes that admins and the platform make, and their use.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use domain::demo::{ACME, GLOBEX};
use entity::BusinessId;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Client, Reply, Service, all, pointers};

use crate::access::users::{PASSWORD, add, log_in, logged_in, refresh, trail};
use crate::http::limits::{assert_limited, limited};

const NEW: &str = "battery staple";
const OTHER: &str = "saddle lantern river";
const USER: &str = "forgetful@example.com";

fn with_code(email: &str, code: &str) -> Value {
    json!({"business": "acme", "email": email, "code": code, "new": NEW})
}

async fn reset(service: &Service, email: &str, code: &str) -> Reply {
    reset_to(service, NEW, email, code).await
}

async fn reset_to(service: &Service, new: &str, email: &str, code: &str) -> Reply {
    let mut body = with_code(email, code);
    body["new"] = json!(new);
    let path = "/api/auth/password-reset";
    service.nobody().post(path, &body).await
}

/// Makes a code for this user.
async fn code(admin: &Client, path: &str) -> String {
    let made = admin
        .post(&format!("{path}/password-reset"), &json!({}))
        .await;
    made.ok(200)["code"].as_str().unwrap().to_owned()
}

async fn admin_code(service: &Service, body: &Value) -> Reply {
    let path = format!("/api/businesses/{ACME}/admin-reset");
    service.platform().post(&path, body).await
}

#[track_caller]
fn refused(reply: &Reply) {
    let _ = reply.refused(401, "invalid_credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admins_code_sets_a_new_password_once_and_ends_every_login() {
    let (one, two) = Service::two().await;
    let path = add(&one, USER, "staff").await;
    let (client, refresh_token) = logged_in(&one, USER).await;
    assert_eq!(client.at(&two).get("/api/auth/me").await.status, 200);
    let made = one
        .admin()
        .post(&format!("{path}/password-reset"), &json!({}))
        .await;
    let made = made.ok(200);
    assert!(path.ends_with(made["user_id"].as_str().unwrap()));
    let expires = made["expires_at"].as_str().unwrap();
    let expires = chrono::DateTime::parse_from_rfc3339(expires).unwrap();
    let minutes = (expires.to_utc() - chrono::Utc::now()).num_minutes();
    assert!((58..=60).contains(&minutes), "{minutes}");
    let code = made["code"].as_str().unwrap();
    // A code alone ends nothing.
    assert_eq!(client.get("/api/auth/me").await.status, 200);

    assert_eq!(reset(&two, USER, code).await.status, 204);
    let since = Instant::now();
    assert_eq!(client.at(&two).get("/api/auth/me").await.status, 401);
    refused(&refresh(&one, &refresh_token).await);
    tokio::time::sleep(Duration::from_millis(1050).saturating_sub(since.elapsed())).await;
    assert_eq!(client.get("/api/auth/me").await.status, 401);
    refused(&log_in(&one, USER, PASSWORD).await);
    log_in(&one, USER, NEW).await.ok(200);
    refused(&reset(&one, USER, code).await);

    let actions: Vec<String> = trail(&one, &path)
        .await
        .iter()
        .map(|entry| format!("{} {}", entry["action"], entry["actor_role"]).replace('"', ""))
        .collect();
    assert_eq!(
        actions,
        [
            "user.created admin",
            "login.succeeded staff",
            "password_reset.created admin",
            "password_reset.succeeded staff",
            "refresh_token.refused nobody",
            "login.failed nobody",
            "login.succeeded staff",
            "password_reset.failed nobody",
        ]
    );
    let entries = "SELECT string_agg(concat(before, after), ' ') FROM audit_events";
    let entries = one.database.value(entries).await;
    assert!(!entries.contains(code) && !entries.contains(&code.replace('-', "")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_shown_once_and_stored_as_a_hash() {
    let service = Service::start().await;
    let path = add(&service, USER, "staff").await;
    let admin = service.admin();
    let path = format!("{path}/password-reset");
    let first = admin.post_once("k", &path, &json!({})).await.ok(200);
    let again = admin.post_once("k", &path, &json!({})).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    let again = again.ok(200);
    assert_eq!(again["code"], Value::Null);
    assert_eq!(again["expires_at"], first["expires_at"]);
    let code = first["code"].as_str().unwrap();
    // Five bits a character.
    assert_eq!(code.replace('-', "").len() * 5, 125);
    let rows = format!("FROM password_resets WHERE business_id = '{ACME}'");
    let kept = format!("SELECT octet_length(code_hash) {rows}");
    assert_eq!(service.database.value(&kept).await, "32");
    let hashed = code.replace('-', "");
    let is_hash = format!("SELECT code_hash = sha256('{hashed}'::bytea) AS same {rows}");
    assert_eq!(service.database.row(&is_hash).await["same"], true);
    // The replay has not replaced the code. People may type it in their own way.
    let typed = code.to_lowercase().replace('-', " ");
    assert_eq!(reset(&service, USER, &typed).await.status, 204);
    let rows = format!("SELECT count(*) {rows}");
    assert_eq!(service.database.value(&rows).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refused_reset_gets_the_same_bytes() {
    let service = Service::start().await;
    let admin = service.admin();
    let [
        user,
        other,
        expired,
        disabled,
        deleted,
        readdressed,
        changed,
    ] = {
        let mut paths = Vec::new();
        for name in [
            "user", "other", "expired", "disabled", "deleted", "moved", "changed",
        ] {
            paths.push(add(&service, &format!("{name}@example.com"), "staff").await);
        }
        <[String; 7]>::try_from(paths).unwrap()
    };
    let used = code(&admin, &user).await;
    let set = reset_to(&service, OTHER, "user@example.com", &used).await;
    assert_eq!(set.status, 204);
    let replaced = code(&admin, &user).await;
    let valid = code(&admin, &user).await;
    let of_other = code(&admin, &other).await;
    let too_late = code(&admin, &expired).await;
    let age = "UPDATE password_resets
                  SET created_at = created_at - interval '1 hour', expires_at = expires_at - interval '1 hour'
                WHERE user_id = (SELECT id FROM users WHERE email = 'expired@example.com')";
    service.database.execute(age).await;
    let of_disabled = code(&admin, &disabled).await;
    let switch = async |disabled_now: bool| {
        let body = json!({"disabled": disabled_now});
        admin.patch(&disabled, &body).await.ok(200);
    };
    switch(true).await;
    let of_deleted = code(&admin, &deleted).await;
    let request = admin.request(Method::DELETE, &deleted);
    assert_eq!(admin.send(request).await.status, 204);
    let of_moved = code(&admin, &readdressed).await;
    let body = json!({"email": "moved.on@example.com"});
    admin.patch(&readdressed, &body).await.ok(200);
    let of_changed = code(&admin, &changed).await;
    let (client, _) = logged_in(&service, "changed@example.com").await;
    let body = json!({"old": PASSWORD, "new": "another battery"});
    assert_eq!(client.post("/api/auth/password", &body).await.status, 204);

    // A failure has an audit entry, and changes nothing else.
    let state = async || {
        let mut tables = service.database.digest().await;
        tables.retain(|table| table["name"] != "audit_events");
        tables
    };
    let before = state().await;
    let mut answers = Vec::new();
    let tries = [
        ("acme", "nobody@example.com", valid.as_str()),
        ("acme", "not an address", &valid),
        ("initech", "user@example.com", &valid),
        ("globex", "user@example.com", &valid),
        ("acme", "user@example.com", "00000-00000-00000-00000-00000"),
        ("acme", "user@example.com", "x"),
        ("acme", "user@example.com", &used),
        ("acme", "user@example.com", &replaced),
        ("acme", "user@example.com", &of_other),
        ("acme", "expired@example.com", &too_late),
        ("acme", "disabled@example.com", &of_disabled),
        ("acme", "deleted@example.com", &of_deleted),
        ("acme", "moved.on@example.com", &of_moved),
        ("acme", "changed@example.com", &of_changed),
        // A user who never had a code.
        ("acme", "admin@example.com", &valid),
    ];
    for (business, email, code) in tries {
        let mut body = with_code(email, code);
        body["business"] = json!(business);
        let nobody = service.nobody();
        let request = nobody
            .request(Method::POST, "/api/auth/password-reset")
            .header("x-request-id", "the-same");
        let reply = nobody.send(request.body(body.to_string())).await;
        assert_eq!(reply.status, 401, "{business} {email}: {}", reply.text);
        refused(&reply);
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
    assert_eq!(state().await, before);
    // Neither does a code of before become valid with its user.
    switch(false).await;
    refused(&reset(&service, "disabled@example.com", &of_disabled).await);
    assert_eq!(
        reset(&service, "user@example.com", &valid).await.status,
        204
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_valid_for_an_hour() {
    let service = Service::start().await;
    let path = add(&service, USER, "staff").await;
    for (age, status) in [("61 minutes", 401), ("59 minutes", 204)] {
        let code = code(&service.admin(), &path).await;
        let older = format!(
            "UPDATE password_resets
                SET created_at = created_at - interval '{age}', expires_at = expires_at - interval '{age}'"
        );
        service.database.execute(&older).await;
        assert_eq!(reset(&service, USER, &code).await.status, status, "{age}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_present_password_is_no_new_one_and_leaves_the_code_valid() {
    let service = Service::start().await;
    let path = add(&service, USER, "staff").await;
    let code = code(&service.admin(), &path).await;
    let refused = reset_to(&service, PASSWORD, USER, &code).await;
    assert_eq!(pointers(&refused), ["/new"]);
    let problem = refused.refused(422, "validation_failed");
    let message = &problem["errors"][0]["message"];
    assert_eq!(message, "must differ from the present password");
    assert_eq!(reset(&service, USER, &code).await.status, 204);
    let granted = log_in(&service, USER, NEW).await.ok(200);
    let client = service.bearer(granted["access_token"].as_str().unwrap());
    let same = json!({"old": NEW, "new": NEW});
    let refused = client.post("/api/auth/password", &same).await;
    assert_eq!(pointers(&refused), ["/new"]);
    // A wrong password is not told from the new one.
    let wrong = json!({"old": OTHER, "new": OTHER});
    let refused = client.post("/api/auth/password", &wrong).await;
    let _ = refused.refused(401, "invalid_credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_reset_takes_as_long_as_a_failed_login() {
    let service = Service::start().await;
    add(&service, USER, "staff").await;
    let quickest = async |what: &dyn Fn() -> (&'static str, Value)| {
        let mut best = Duration::MAX;
        for _ in 0..15 {
            let (path, body) = what();
            let started = Instant::now();
            refused(&service.nobody().post(path, &body).await);
            best = best.min(started.elapsed());
        }
        best
    };
    let path = "/api/auth/password-reset";
    let no_business = || {
        let mut body = with_code(USER, "x");
        body["business"] = json!("initech");
        (path, body)
    };
    let login = || {
        let body = json!({"business": "acme", "email": USER, "password": "wrong one"});
        ("/api/auth/login", body)
    };
    let _ = quickest(&login).await;
    let login = quickest(&login).await;
    let wrong = quickest(&|| (path, with_code(USER, "x"))).await;
    let no_address = quickest(&|| (path, with_code("nobody@example.com", "x"))).await;
    let no_business = quickest(&no_business).await;
    for time in [wrong, no_address, no_business] {
        let is_alike = time * 3 > login && login * 3 > time;
        assert!(
            is_alike,
            "{login:?}: {wrong:?} {no_address:?} {no_business:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_new_password_leaves_the_code_valid() {
    let service = Service::start().await;
    let path = add(&service, USER, "staff").await;
    let code = code(&service.admin(), &path).await;
    let before = service.database.digest().await;
    for weak in ["x7x7x7x", "password", USER, "acme2024"] {
        let mut body = with_code(USER, &code);
        body["new"] = json!(weak);
        let path = "/api/auth/password-reset";
        let reply = service.nobody().post(path, &body).await;
        assert_eq!(pointers(&reply), ["/new"], "{weak}: {}", reply.text);
    }
    let faults = json!({"business": "", "email": "", "code": "", "new": "short", "password": 1});
    let nobody = service.nobody();
    let reply = nobody.post("/api/auth/password-reset", &faults).await;
    let expected = ["/business", "/email", "/code", "/new", "/password"];
    assert_eq!(pointers(&reply), expected);
    assert_eq!(service.database.digest().await, before);
    assert_eq!(reset(&service, USER, &code).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_user_gets_no_code_and_an_unknown_one_is_not_found() {
    let service = Service::start().await;
    let path = add(&service, USER, "staff").await;
    let admin = service.admin();
    let body = json!({"disabled": true});
    admin.patch(&path, &body).await.ok(200);
    let path = format!("{path}/password-reset");
    let body = admin.post(&path, &json!({})).await;
    let body = body.refused(409, "user_disabled");
    assert!(path.contains(body["user_id"].as_str().unwrap()));
    let _ = admin
        .post(&path, &json!({"email": USER}))
        .await
        .refused(422, "validation_failed");
    let unknown = format!("/api/users/{}/password-reset", BusinessId::new());
    let _ = admin
        .post(&unknown, &json!({}))
        .await
        .refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_uses_of_one_code_at_once_one_succeeds() {
    let (one, two) = Service::two().await;
    let path = add(&one, USER, "staff").await;
    let code = code(&one.admin(), &path).await;
    let tries = (0..6).map(|number| {
        let service = if number % 2 == 0 { &one } else { &two };
        let nobody = service.nobody();
        let new = format!("{NEW} {number}");
        let mut body = with_code(USER, &code);
        body["new"] = json!(new);
        async move {
            let reply = nobody.post("/api/auth/password-reset", &body).await;
            (reply.status, new)
        }
    });
    let answers = all(tries).await;
    let (done, others): (Vec<_>, Vec<_>) = answers.iter().partition(|(status, _)| *status == 204);
    assert_eq!(done.len(), 1, "{answers:?}");
    assert!(
        others.iter().all(|(status, _)| *status == 401),
        "{answers:?}"
    );
    log_in(&one, USER, &done[0].1).await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn resets_of_one_account_are_limited_and_take_no_try_from_its_logins() {
    let service = limited(|limits| limits.rate_limit_account = "3/h".parse().unwrap()).await;
    for email in [USER, "Forgetful@Example.com", USER] {
        refused(&reset(&service, email, "a guess").await);
    }
    assert_limited(&reset(&service, USER, "a guess").await);
    refused(&reset(&service, "admin@example.com", "a guess").await);
    log_in(&service, "admin@example.com", "admin123")
        .await
        .ok(200);
    let service = limited(|limits| limits.rate_limit_login = "2/h".parse().unwrap()).await;
    for number in 0..2 {
        let email = format!("{number}@example.com");
        refused(&reset(&service, &email, "a guess").await);
    }
    assert_limited(&reset(&service, "3@example.com", "a guess").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_resets_the_only_admin_of_a_business() {
    let service = Service::start().await;
    let granted = log_in(&service, "admin@example.com", "admin123")
        .await
        .ok(200);
    let client = service.bearer(granted["access_token"].as_str().unwrap());
    let made = admin_code(&service, &json!({})).await.ok(200);
    let code = made["code"].as_str().unwrap();
    assert_eq!(reset(&service, "admin@example.com", code).await.status, 204);
    assert_eq!(client.get("/api/auth/me").await.status, 401);
    log_in(&service, "admin@example.com", NEW).await.ok(200);
    let path = format!("/api/users/{}", made["user_id"].as_str().unwrap());
    let entries = trail(&service, &path).await;
    let created = entries
        .iter()
        .find(|entry| entry["action"] == "password_reset.created");
    assert_eq!(created.unwrap()["actor_role"], "platform");

    // A retry creates no second code and does not show the first one. No body is needed.
    let platform = service.platform();
    let path = format!("/api/businesses/{ACME}/admin-reset");
    let ask = async || {
        let request = platform.request(Method::POST, &path);
        platform.send(request.header("Idempotency-Key", "k")).await
    };
    let first = ask().await.ok(200);
    let again = ask().await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.ok(200)["code"], Value::Null);
    let code = first["code"].as_str().unwrap();
    let set = reset_to(&service, OTHER, "admin@example.com", code).await;
    assert_eq!(set.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platforms_code_also_enables_an_admin_who_is_disabled() {
    let service = Service::start().await;
    let disable = format!(
        "UPDATE users SET disabled_at = now() WHERE business_id = '{ACME}' AND role = 'admin'"
    );
    service.database.execute(&disable).await;
    let made = admin_code(&service, &json!({})).await.ok(200);
    // The code alone enables nobody: the old password may be known to others.
    refused(&log_in(&service, "admin@example.com", "admin123").await);
    let code = made["code"].as_str().unwrap();
    assert_eq!(reset(&service, "admin@example.com", code).await.status, 204);
    refused(&log_in(&service, "admin@example.com", "admin123").await);
    log_in(&service, "admin@example.com", NEW).await.ok(200);
    let path = format!("/api/users/{}", made["user_id"].as_str().unwrap());
    let entries = trail(&service, &path).await;
    let enabled = entries
        .iter()
        .find(|entry| entry["action"] == "user.enabled")
        .unwrap();
    assert_eq!(enabled["before"]["disabled"], true);
    assert_eq!(enabled["after"]["disabled"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_admins_the_platform_names_one() {
    let service = Service::start().await;
    add(&service, "second@example.com", "admin").await;
    add(&service, "clerk@example.com", "staff").await;
    let before = service.database.digest().await;
    for body in [
        json!({}),
        json!({"email": "clerk@example.com"}),
        json!({"email": "nobody@example.com"}),
        json!({"email": "admin@globex.example"}),
        json!({"email": ""}),
        json!({"email": "a".repeat(255)}),
    ] {
        let reply = admin_code(&service, &body).await;
        assert_eq!(pointers(&reply), ["/email"], "{body}: {}", reply.text);
    }
    assert_eq!(service.database.digest().await, before);
    let made = admin_code(&service, &json!({"email": "Second@Example.com"})).await;
    let made = made.ok(200);
    let code = made["code"].as_str().unwrap();
    refused(&reset(&service, "admin@example.com", code).await);
    assert_eq!(
        reset(&service, "second@example.com", code).await.status,
        204
    );
    let platform = service.platform();
    for id in [BusinessId::new().to_string(), "nonsense".to_owned()] {
        let path = format!("/api/businesses/{id}/admin-reset");
        let reply = platform.post(&path, &json!({})).await;
        assert_eq!(reply.refused(404, "not_found")["business_id"], id);
    }
    // The code of one business opens no other.
    let path = format!("/api/businesses/{GLOBEX}/admin-reset");
    let made = platform.post(&path, &json!({})).await.ok(200);
    let code = made["code"].as_str().unwrap();
    refused(&reset(&service, "admin@globex.example", code).await);
    let mut body = with_code("admin@globex.example", code);
    body["business"] = json!("globex");
    let nobody = service.nobody();
    let reply = nobody.post("/api/auth/password-reset", &body).await;
    assert_eq!(reply.status, 204);
}
