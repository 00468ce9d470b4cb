//! These tests check the issuer's keys: their rotation, and an issuer that is slow, invalid or unavailable.

use std::time::Duration;

use domain::demo::ACME;
use serde_json::json;
use tests::issuer::{AUDIENCE, ISSUER, IssuerServer, Serving, SigningKey, good_claims, set_of};
use tests::{SERVICE, Service, all, until};
use tradeline::access::token::{
    BadToken, ClaimNames, Issuer, IssuerOptions, Keys, Pace, Source, Verified, Verifier,
};
use uuid::Uuid;

async fn trusting(issuer: &IssuerServer) -> Service {
    let database = tests::Database::with_demo().await;
    let url = database.url(SERVICE);
    Service::with(database, &url, &issuer.settings()).await
}

/// A new token of this key on each call, because a valid token is cached for a while.
fn token(key: &SigningKey) -> String {
    let mut claims = good_claims(ACME, "staff");
    claims["jti"] = json!(Uuid::now_v7());
    key.sign(&claims)
}

async fn status(service: &Service, key: &SigningKey) -> u16 {
    service.bearer(&token(key)).get("/api/auth/me").await.status
}

/// Creates a verifier for these keys with refresh intervals short enough for a test.
async fn verifier(keys: Source, pace: Pace) -> Verifier {
    let issuer = Issuer::new(IssuerOptions {
        name: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        keys,
        claims: ClaimNames {
            business: "business_id".parse().unwrap(),
            role: "role".parse().unwrap(),
            customer: "customer_id".parse().unwrap(),
        },
        pace,
    });
    let keys = Keys::new(tests::SECRET.as_bytes()).unwrap();
    Verifier::new(keys.into(), Some(issuer.await.unwrap()))
}

const QUICK: Pace = Pace {
    refresh: Duration::from_millis(50),
    retry: Duration::from_millis(50),
    unknown_key: Duration::from_millis(300),
    oldest: Duration::from_secs(3600),
};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_works_at_once_and_a_withdrawn_one_stops() {
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    let issuer = IssuerServer::start(&[&old]).await;
    let service = trusting(&issuer).await;
    assert_eq!(status(&service, &old).await, 200);
    issuer.publish(&[&new]);
    assert_eq!(status(&service, &new).await, 200);
    assert_eq!(status(&service, &old).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_keys_that_nobody_has_asks_the_issuer_once() {
    let key = SigningKey::new("1");
    let issuer = IssuerServer::start(&[&key]).await;
    let service = trusting(&issuer).await;
    assert_eq!(status(&service, &key).await, 200);
    let before = issuer.asked();
    // The response is slow enough that all requests arrive before it.
    issuer.serve(Serving::Late(Duration::from_millis(300), set_of(&[&key])));
    let forged = all((0..40).map(|number| {
        let client = service.bearer(&token(
            &key.renamed(&format!("forged-{number}"), key.algorithm),
        ));
        async move { client.get("/api/auth/me").await.status }
    }))
    .await;
    assert!(forged.iter().all(|status| *status == 401), "{forged:?}");
    for number in 0..20 {
        let forged = key.renamed(&format!("late-{number}"), key.algorithm);
        assert_eq!(status(&service, &forged).await, 401);
    }
    assert_eq!(issuer.asked(), before + 1);
    // A valid key is not affected.
    assert_eq!(status(&service, &key).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_down_at_the_start_is_asked_again_when_a_token_comes() {
    let key = SigningKey::new("1");
    let issuer = IssuerServer::start(&[&key]).await;
    issuer.serve(Serving::Down);
    let service = trusting(&issuer).await;
    until(
        "the service has requested the keys without success",
        async || issuer.asked() > 0,
    )
    .await;
    // Tokens of the service itself do not depend on the issuer.
    let _ = service.admin().get("/api/auth/me").await.ok(200);
    issuer.publish(&[&key]);
    assert_eq!(status(&service, &key).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn known_keys_stay_valid_whatever_the_issuer_responds_later() {
    let key = SigningKey::new("1");
    let elsewhere = IssuerServer::start(&[&SigningKey::new("2")]).await;
    for serving in [
        Serving::Down,
        Serving::Answer(500, set_of(&[])),
        Serving::Answer(200, b"<html>sign in</html>".to_vec()),
        Serving::Answer(200, b"{\"keys\": []}".to_vec()),
        Serving::Answer(200, b"{\"keys\": {}}".to_vec()),
        Serving::Answer(204, Vec::new()),
        Serving::Answer(200, vec![b' '; 300 * 1024]),
        Serving::Redirect(elsewhere.url.clone()),
        Serving::Endless,
    ] {
        let issuer = IssuerServer::start(&[&key]).await;
        let verifier = verifier(issuer.url.parse().unwrap(), QUICK).await;
        assert!(verifier.verify(&token(&key)).await.is_ok());
        issuer.serve(serving);
        let before = issuer.asked();
        // The first token with an unknown key has caused a read; the next read must wait for this interval.
        tokio::time::sleep(QUICK.unknown_key).await;
        let unknown = key.renamed("2", key.algorithm);
        let refused = verifier.verify(&token(&unknown)).await;
        assert_eq!(refused, Err(BadToken::Invalid));
        assert_eq!(issuer.asked(), before + 1);
        assert!(verifier.verify(&token(&key)).await.is_ok());
    }
    assert_eq!(elsewhere.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_never_answers_costs_a_token_some_seconds_and_nobody_else_anything() {
    let key = SigningKey::new("1");
    let issuer = IssuerServer::start(&[&key]).await;
    let service = trusting(&issuer).await;
    assert_eq!(status(&service, &key).await, 200);
    issuer.serve(Serving::Late(Duration::from_secs(600), Vec::new()));
    let before = issuer.asked();
    let unknown = service.bearer(&token(&key.renamed("2", key.algorithm)));
    let waiting = tokio::spawn(async move { unknown.get("/api/auth/me").await.status });
    until("the issuer is asked for its keys", async || {
        issuer.asked() > before
    })
    .await;
    // Another request is served meanwhile.
    assert_eq!(status(&service, &key).await, 200);
    assert!(!waiting.is_finished());
    // The service gives up long before the issuer would respond. The exact limit is a constant with a test of its own.
    let refused = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    assert_eq!(refused.unwrap().unwrap(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_does_not_end_the_reading_for_the_others() {
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    let issuer = IssuerServer::start(&[&old]).await;
    let verifier = verifier(issuer.url.parse().unwrap(), Pace::default()).await;
    // The response is so late that it cannot arrive in time by accident, even on a busy machine.
    issuer.serve(Serving::Late(Duration::from_secs(3), set_of(&[&new])));
    let wanted = token(&new);
    let impatient = tokio::time::timeout(Duration::from_millis(100), verifier.verify(&wanted));
    assert!(impatient.await.is_err());
    assert!(verifier.verify(&token(&new)).await.is_ok());
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_read_again_in_the_background() {
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    let issuer = IssuerServer::start(&[&old]).await;
    let pace = Pace {
        // This interval prevents a read because of an unknown key.
        unknown_key: Duration::from_secs(3600),
        ..QUICK
    };
    let verifier = std::sync::Arc::new(verifier(issuer.url.parse().unwrap(), pace).await);
    let background = std::sync::Arc::clone(&verifier);
    let background = tokio::spawn(async move { background.keep_fresh().await });
    until("the old key is known", async || {
        verifier.verify(&token(&old)).await.is_ok()
    })
    .await;
    let remembered = token(&old);
    assert!(verifier.verify(&remembered).await.is_ok());
    issuer.publish(&[&new]);
    until("the new key is known", async || {
        verifier.verify(&token(&new)).await.is_ok()
    })
    .await;
    assert_eq!(verifier.verify(&token(&old)).await, Err(BadToken::Invalid));
    // A token that was verified before stays cached for a while.
    assert!(matches!(
        verifier.verify(&remembered).await,
        Ok(Verified::Issued(_))
    ));
    background.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_a_file_rotate_too() {
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, set_of(&[&old])).unwrap();
    let verifier = verifier(Source::File(path.clone()), QUICK).await;
    assert!(verifier.verify(&token(&old)).await.is_ok());
    std::fs::write(&path, set_of(&[&new])).unwrap();
    assert!(verifier.verify(&token(&new)).await.is_ok());
    assert_eq!(verifier.verify(&token(&old)).await, Err(BadToken::Invalid));
}
