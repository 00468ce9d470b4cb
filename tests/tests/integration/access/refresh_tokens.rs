//! These tests check refresh tokens: each is valid once, and its reuse revokes all tokens of its login.

use domain::demo::{ACME, GLOBEX};
use domain::identity::refresh_tokens::delete_expired;
use serde_json::{Value, json};
use tests::{Reply, SERVICE, Service, all};

async fn log_in(service: &Service) -> Value {
    let body = json!({"business": "acme", "email": "admin@example.com", "password": "admin123"});
    service
        .nobody()
        .post("/api/auth/login", &body)
        .await
        .ok(200)
}

fn token(granted: &Value) -> String {
    granted["refresh_token"].as_str().unwrap().to_owned()
}

async fn refresh(service: &Service, token: &str) -> Reply {
    let body = json!({"refresh_token": token});
    service.nobody().post("/api/auth/refresh", &body).await
}

async fn is_refused(service: &Service, token: &str) {
    let _ = refresh(service, token)
        .await
        .refused(401, "invalid_credentials");
}

async fn count(service: &Service, action: &str) -> String {
    let sql = format!("SELECT count(*) FROM audit_events WHERE action = '{action}'");
    service.database.value(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_continues_from_token_to_token() {
    let service = Service::start().await;
    let mut granted = log_in(&service).await;
    for _ in 0..4 {
        let reply = refresh(&service, &token(&granted)).await;
        let next = reply.ok(200);
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(
            (&next["token_type"], &next["expires_in"]),
            (&json!("Bearer"), &json!(3600))
        );
        assert_ne!(next["refresh_token"], granted["refresh_token"]);
        let client = service.bearer(next["access_token"].as_str().unwrap());
        assert_eq!(
            client.get("/api/auth/me").await.ok(200)["email"],
            "admin@example.com"
        );
        granted = next;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_comes_back_ends_its_login_and_no_other() {
    let service = Service::start().await;
    let (stolen, other) = (log_in(&service).await, log_in(&service).await);
    let first = token(&stolen);
    let second = token(&refresh(&service, &first).await.ok(200));
    let third = token(&refresh(&service, &second).await.ok(200));
    assert_eq!(count(&service, "refresh_token.reused").await, "0");
    is_refused(&service, &first).await;
    assert_eq!(count(&service, "refresh_token.reused").await, "1");
    // The rejection must not roll back the recorded reuse.
    for token in [&third, &second, &first] {
        is_refused(&service, token).await;
    }
    assert_eq!(
        count(&service, "refresh_token.reused").await,
        "1",
        "one alarm a login"
    );
    assert_eq!(refresh(&service, &token(&other)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_eight_uses_at_once_over_two_instances_one_succeeds_and_the_login_ends() {
    let (one, two) = Service::two().await;
    for _ in 0..5 {
        let granted = log_in(&one).await;
        let tries = (0..8).map(|number| {
            let client = if number % 2 == 0 {
                one.nobody()
            } else {
                two.nobody()
            };
            let body = json!({"refresh_token": granted["refresh_token"]});
            async move { client.post("/api/auth/refresh", &body).await }
        });
        let replies = all(tries).await;
        let (good, bad): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
        assert_eq!((good.len(), bad.len()), (1, 7));
        for reply in bad {
            let _ = reply.refused(401, "invalid_credentials");
        }
        is_refused(&two, &token(&good[0].json())).await;
    }
    assert_eq!(count(&one, "refresh_token.reused").await, "5");
    assert_eq!(one.database.deadlocks().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_after_its_time() {
    let mut settings = tests::settings();
    settings.refresh_token_seconds = 100;
    let database = tests::Database::with_demo().await;
    let url = database.url(SERVICE);
    let service = Service::with(database, &url, &settings).await;
    let granted = log_in(&service).await;
    let sql = "UPDATE refresh_tokens SET expires_at = expires_at - interval '95 seconds' WHERE expires_at < now() + interval '1 hour'";
    service.database.execute(sql).await;
    let granted = refresh(&service, &token(&granted)).await.ok(200);
    service.database.execute(&sql.replace("95", "101")).await;
    is_refused(&service, &token(&granted)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_its_own_login_only() {
    let service = Service::start().await;
    let (mine, other) = (log_in(&service).await, log_in(&service).await);
    let body = json!({"refresh_token": mine["refresh_token"]});
    // Another user's or another business's logout with this token has no effect.
    for stranger in [service.admin(), service.customer(), service.stranger()] {
        assert_eq!(stranger.post("/api/auth/logout", &body).await.status, 204);
    }
    let next = refresh(&service, &token(&mine)).await.ok(200);
    let me = service.bearer(next["access_token"].as_str().unwrap());
    let body = json!({"refresh_token": next["refresh_token"]});
    for _ in 0..2 {
        let reply = me.post("/api/auth/logout", &body).await;
        assert_eq!((reply.status, reply.text.as_str()), (204, ""));
    }
    assert_eq!(count(&service, "user.logged_out").await, "1");
    is_refused(&service, &token(&next)).await;
    assert_eq!(count(&service, "refresh_token.reused").await, "0");
    assert_eq!(refresh(&service, &token(&other)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_token_gets_the_same_response_and_changes_nothing() {
    let service = Service::start().await;
    let good = token(&log_in(&service).await);
    let before = service.database.digest().await;
    let globex = good.replace(&good[11..33], "EREREREREREREREREREREQ");
    let nobody = good.replace(&good[11..33], "EREREREREREREREREREREA");
    assert_ne!(globex, good);
    let mut answers = Vec::new();
    for bad in [
        "x".to_owned(),
        good.to_uppercase(),
        format!("{good}="),
        format!(" {good}"),
        good[..good.len() - 1].to_owned(),
        good.replace("tl_refresh_", "tl_live_"),
        globex,
        nobody,
        format!("tl_refresh_{}", "A".repeat(65)),
        "' OR '1'='1".to_owned(),
    ] {
        let reply = refresh(&service, &bad).await;
        let _ = reply.refused(401, "invalid_credentials");
        answers.push(reply.text.replace(reply.header("x-request-id"), ""));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(service.database.digest().await, before);
    // A refresh token is no access token.
    let _ = service
        .bearer(&good)
        .get("/api/auth/me")
        .await
        .refused(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_kept_as_it_was_sent() {
    let service = Service::start().await;
    let first = token(&log_in(&service).await);
    let second = token(&refresh(&service, &first).await.ok(200));
    for table in service.database.tables().await {
        for token in [&first, &second] {
            // The token's random part, as text and in the text of bytes.
            let random = &token[token.len() - 43..];
            let sql = format!(
                "SELECT count(*) FROM {table} AS t
                  WHERE position('{random}' IN t::text) > 0 OR position(encode('{random}', 'hex') IN t::text) > 0"
            );
            assert_eq!(service.database.value(&sql).await, "0", "{table}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_whose_time_is_over_go_and_others_stay() {
    let service = Service::start().await;
    let kept = token(&log_in(&service).await);
    for (business, count) in [(ACME, 2500), (GLOBEX, 7)] {
        let sql = format!(
            "INSERT INTO refresh_tokens (business_id, id, family_id, user_id, token_hash, expires_at)
             SELECT business_id, gen_random_uuid(), gen_random_uuid(), id, sha256(n::text::bytea), now() - interval '1 s'
               FROM users, generate_series(1, {count}) AS n WHERE business_id = '{business}' AND role = 'admin'"
        );
        service.database.execute(&sql).await;
    }
    let database = domain::Database::new(&service.database.url(SERVICE), 2).unwrap();
    let (one, two) = tokio::join!(
        delete_expired(&database, ACME),
        delete_expired(&database, ACME)
    );
    assert_eq!(one.unwrap() + two.unwrap(), 2500);
    let over = "SELECT count(*) FROM refresh_tokens WHERE expires_at < now()";
    assert_eq!(
        service.database.value(over).await,
        "7",
        "another business's stay"
    );
    assert_eq!(refresh(&service, &kept).await.status, 200);
}
