//! These tests check that users change their own password, and that this ends their other logins.

use std::time::{Duration, Instant};

use domain::Authority;
use domain::demo::ACME;
use entity::UserId;
use serde_json::{Value, json};
use tests::{Client, Reply, SECRET, Service, all, claims, pointers, signed, until};
use tradeline::access::token::Claims;

use crate::access::users::{PASSWORD, add, log_in, logged_in, refresh, trail};
use crate::http::limits::{assert_limited, limited};

const NEW: &str = "battery staple";
const USER: &str = "clerk@example.com";

async fn change(client: &Client, old: &str, new: &str) -> Reply {
    let body = json!({"old": old, "new": new});
    client.post("/api/auth/password", &body).await
}

async fn status(client: &Client) -> u16 {
    client.get("/api/auth/me").await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_the_users_other_logins_and_keeps_the_one_that_changed_it() {
    let (one, two) = Service::two().await;
    let path = add(&one, USER, "staff").await;
    let (own, own_refresh) = logged_in(&one, USER).await;
    let (other, other_refresh) = logged_in(&one, USER).await;
    assert_eq!(status(&other.at(&two)).await, 200);

    assert_eq!(change(&own, PASSWORD, NEW).await.status, 204);
    let since = Instant::now();
    let _ = other
        .get("/api/auth/me")
        .await
        .refused(401, "unauthenticated");
    assert_eq!(status(&own).await, 200);
    while since.elapsed() < Duration::from_millis(1000) {
        assert_eq!(status(&own.at(&two)).await, 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status(&other.at(&two)).await, 401);
    let _ = refresh(&one, &other_refresh)
        .await
        .refused(401, "invalid_credentials");
    let _ = log_in(&one, USER, PASSWORD)
        .await
        .refused(401, "invalid_credentials");
    log_in(&one, USER, NEW).await.ok(200);

    // The access token is older than two changes of the password now, and still of the login that made them.
    assert_eq!(change(&own, NEW, PASSWORD).await.status, 204);
    assert_eq!(status(&own).await, 200);
    let granted = refresh(&one, &own_refresh).await.ok(200);
    let renewed = one.bearer(granted["access_token"].as_str().unwrap());
    assert_eq!(status(&renewed).await, 200);

    // Another role ends the access tokens of this login too, before and after the renewal.
    let role = json!({"role": "admin"});
    one.admin().patch(&path, &role).await.ok(200);
    assert_eq!((status(&own).await, status(&renewed).await), (401, 401));
    // The token does not become valid again with the next change of the password.
    let granted = refresh(&one, granted["refresh_token"].as_str().unwrap()).await;
    let renewed = one.bearer(granted.ok(200)["access_token"].as_str().unwrap());
    assert_eq!(change(&renewed, PASSWORD, NEW).await.status, 204);
    assert_eq!((status(&own).await, status(&renewed).await), (401, 200));

    let entries = trail(&one, &path).await;
    let changes: Vec<&Value> = entries
        .iter()
        .filter(|entry| entry["action"] == "user.password_changed")
        .collect();
    assert_eq!(changes.len(), 3);
    assert_eq!(
        (&changes[0]["after"], &changes[0]["actor_role"]),
        (&json!({}), &json!("staff"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_changes_its_own_password() {
    let service = Service::start().await;
    for (email, old) in [
        ("admin@example.com", "admin123"),
        ("customer@example.com", "customer123"),
    ] {
        let granted = log_in(&service, email, old).await.ok(200);
        let client = service.bearer(granted["access_token"].as_str().unwrap());
        assert_eq!(change(&client, old, NEW).await.status, 204);
        log_in(&service, email, NEW).await.ok(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_old_password_or_a_weak_new_one_changes_nothing() {
    let service = Service::start().await;
    add(&service, USER, "staff").await;
    let (client, refresh_token) = logged_in(&service, USER).await;
    let before = service.database.digest().await;
    for wrong in ["Correct horse", "correct horse ", "admin123"] {
        let _ = change(&client, wrong, NEW)
            .await
            .refused(401, "invalid_credentials");
    }
    for weak in ["x7x7x7x", "password", USER, "acme2024", &"x7".repeat(65)] {
        let reply = change(&client, PASSWORD, weak).await;
        assert_eq!(pointers(&reply), ["/new"], "{weak}: {}", reply.text);
    }
    let faults = json!({"old": "", "new": "short", "email": USER});
    let reply = client.post("/api/auth/password", &faults).await;
    assert_eq!(pointers(&reply), ["/old", "/new", "/email"]);
    let reply = client.post("/api/auth/password", &json!({})).await;
    assert_eq!(pointers(&reply), ["/old", "/new"]);
    assert_eq!(service.database.digest().await, before);
    assert_eq!(status(&client).await, 200);
    refresh(&service, &refresh_token).await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_is_no_user_has_no_password() {
    let service = Service::start().await;
    let key = json!({"name": "Script", "role": "staff"});
    let key = service.admin().post("/api/api-keys", &key).await.ok(201);
    let key = service.bearer(key["key"].as_str().unwrap());
    for client in [service.admin(), service.customer(), key] {
        let _ = change(&client, PASSWORD, NEW)
            .await
            .refused(409, "no_password");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_that_names_no_login_every_login_ends() {
    let service = Service::start().await;
    let path = add(&service, USER, "staff").await;
    let (other, other_refresh) = logged_in(&service, USER).await;
    let user_id: UserId = path.rsplit('/').next().unwrap().parse().unwrap();
    // Earlier versions of the service issued such tokens.
    let former = Claims {
        user_id,
        version: Some(1),
        ..claims(ACME, Authority::Staff)
    };
    let former = service.bearer(&signed(&former, SECRET));
    assert_eq!(change(&former, PASSWORD, NEW).await.status, 204);
    assert_eq!((status(&former).await, status(&other).await), (401, 401));
    let _ = refresh(&service, &other_refresh)
        .await
        .refused(401, "invalid_credentials");
    log_in(&service, USER, NEW).await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_changes_from_one_old_password_at_once_one_succeeds() {
    let (one, two) = Service::two().await;
    add(&one, USER, "staff").await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(logged_in(&one, USER).await.0);
    }
    let tries = clients.iter().enumerate().map(|(number, client)| {
        let client = if number % 2 == 0 {
            client.clone()
        } else {
            client.at(&two)
        };
        let new = format!("{NEW} {number}");
        async move { (change(&client, PASSWORD, &new).await.status, new) }
    });
    let answers = all(tries).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|(status, _)| *status == 204);
    assert_eq!((done.len(), refused.len()), (1, 5), "{answers:?}");
    assert!(refused.iter().all(|(status, _)| *status == 401));
    log_in(&one, USER, &done[0].1).await.ok(200);
    for (_, never) in refused {
        assert_eq!(log_in(&one, USER, never).await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_began_with_the_old_password_does_not_outlast_the_change() {
    let service = Service::start().await;
    add(&service, USER, "staff").await;
    // The change has the user's row, and the login has verified the old password.
    let change = format!("UPDATE users SET password_hash = 'another' WHERE email = '{USER}'");
    let held = service.database.hold(&change).await;
    let login = log_in(&service, USER, PASSWORD);
    let commit = async {
        until("the login waits", async || {
            service.database.blocked().await > 0
        })
        .await;
        held.commit().await;
    };
    let (login, ()) = tokio::join!(login, commit);
    let _ = login.refused(401, "invalid_credentials");
    let tokens = "SELECT count(*) FROM refresh_tokens JOIN users ON users.id = user_id WHERE email = 'clerk@example.com'";
    assert_eq!(service.database.value(tokens).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_of_the_old_password_count_as_logins() {
    let service = limited(|limits| limits.rate_limit_account = "3/h".parse().unwrap()).await;
    let granted = log_in(&service, "admin@example.com", "admin123").await;
    let client = service.bearer(granted.ok(200)["access_token"].as_str().unwrap());
    for _ in 0..2 {
        let _ = change(&client, "a guess", NEW)
            .await
            .refused(401, "invalid_credentials");
    }
    assert_limited(&change(&client, "admin123", NEW).await);
    assert_limited(&log_in(&service, "admin@example.com", "admin123").await);
}
