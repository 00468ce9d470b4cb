//! These tests check the response, and its delay, when the database or the issuer is unavailable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::card;
use domain::card::provider::Offline;
use domain::demo::ACME;
use domain::{Database, Error, RevocationCache, UserToken};
use entity::{OrderId, UserId};
use tests::issuer::{AUDIENCE, ISSUER, IssuerServer, Serving, SigningKey, good_claims};
use tests::{Service, all, until};
use tradeline::access::token::{
    BadToken, ClaimNames, Issuer, IssuerOptions, Keys, Pace, Verified, Verifier,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_database_is_reported_to_all_waiting_callers_together() {
    // No server listens on this port. Each query waits three seconds for a connection.
    let database = Database::new("postgres://nobody@127.0.0.1:1/nothing", 4).unwrap();
    let revocations = Arc::new(RevocationCache::default());
    let started = Instant::now();
    let callers = (0..12).map(|number: u32| {
        let (revocations, database) = (Arc::clone(&revocations), database.clone());
        async move {
            // Half of the callers have API keys, half have tokens.
            let answer = if number.is_multiple_of(2) {
                let key = format!("tl_live_{number:065}");
                revocations.key(&database, ACME, &key).await.map(|_| ())
            } else {
                let token = UserToken {
                    user: UserId::new(),
                    version: 1,
                    login: None,
                };
                let current = revocations.is_current(&database, ACME, token);
                current.await.map(|_| ())
            };
            matches!(answer, Err(Error::DatabaseUnavailable(_)))
        }
    });
    assert!(
        all(callers)
            .await
            .into_iter()
            .all(|unavailable| unavailable)
    );
    // Sequential queries would take 36 seconds.
    let took = started.elapsed();
    assert!(took < Duration::from_secs(24), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placed_order_by_card_is_never_reported_as_nothing_changed() {
    let database = Database::new("postgres://nobody@127.0.0.1:1/nothing", 1).unwrap();
    let made = card::finish(&database, &Offline, ACME, OrderId::new()).await;
    assert!(matches!(made, Err(Error::OutcomeUnknown)), "{made:?}");
}

/// The time for which keys are trusted that cannot be read again: long enough to verify one token after they were read.
/// `tokens_rotation.rs` tests, with a longer limit, that they work meanwhile.
const OLDEST: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_an_issuer_that_cannot_be_asked_end_some_day() {
    let key = SigningKey::new("1");
    let issuer = IssuerServer::start(&[&key]).await;
    let options = IssuerOptions {
        name: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        keys: issuer.url.parse().unwrap(),
        claims: ClaimNames {
            business: "business_id".parse().unwrap(),
            role: "role".parse().unwrap(),
            customer: "customer_id".parse().unwrap(),
        },
        pace: Pace {
            unknown_key: Duration::from_millis(1),
            oldest: OLDEST,
            ..Pace::default()
        },
    };
    let keys = Keys::new(tests::SECRET.as_bytes()).unwrap();
    let verifier = Verifier::new(keys.into(), Some(Issuer::new(options).await.unwrap()));
    // Each token is new, because a valid token is cached for a while.
    let token = |number: u8| {
        let mut claims = good_claims(ACME, "staff");
        claims["jti"] = serde_json::json!(number);
        key.sign(&claims)
    };
    let good = verifier.verify(&token(1)).await;
    assert!(matches!(good, Ok(Verified::Issued(_))), "{good:?}");
    issuer.serve(Serving::Down);
    tokio::time::sleep(OLDEST).await;
    assert_eq!(verifier.verify(&token(3)).await, Err(BadToken::Invalid));
    issuer.publish(&[&key]);
    let good = verifier.verify(&token(4)).await;
    assert!(matches!(good, Ok(Verified::Issued(_))), "{good:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_ask_whether_the_service_is_ready_the_database_is_asked_once() {
    let service = Service::start().await;
    let nobody = service.nobody();
    nobody.get("/readyz").await.ok(200);
    let held = service.database.hold("LOCK TABLE seaql_migrations").await;
    // The previous result is cached for one second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let asking = (0..30).map(|_| {
        let nobody = nobody.clone();
        tokio::spawn(async move { nobody.get("/readyz").await.status })
    });
    let asking: Vec<_> = asking.collect();
    until("the database is asked", async || {
        service.database.blocked().await > 0
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(service.database.blocked().await, 1);
    held.release().await;
    for answer in asking {
        assert_eq!(answer.await.unwrap(), 200);
    }
}
