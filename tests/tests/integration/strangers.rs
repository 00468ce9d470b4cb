//! What requests of nobody cost the database, and what they leave in the trail.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::demo::ACME;
use entity::BusinessId;
use tests::{Client, Database, SERVICE, Service, settings};
use tradeline::config::LimitSettings;

async fn limited(set: impl FnOnce(&mut LimitSettings)) -> Service {
    let mut settings = settings();
    let never = "100000/h".parse().unwrap();
    settings.limits.rate_limit = never;
    settings.limits.rate_limit_address = never;
    settings.limits.rate_limit_login = never;
    settings.limits.rate_limit_account = never;
    set(&mut settings.limits);
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    Service::with(database, &url, &settings).await
}

/// Someone with a key of this business that nobody has made.
fn forger(service: &Service, business: BusinessId) -> Client {
    let business = URL_SAFE_NO_PAD.encode(business.0);
    service.bearer(&format!("tl_live_{business}{}", "A".repeat(43)))
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_businesses_are_not_even_looked_for_beyond_the_rate_of_an_address() {
    let service = limited(|limits| limits.rate_limit_address = "3/h".parse().unwrap()).await;
    let admin = service.admin();
    admin.get("/api/auth/me").await.ok(200);
    for _ in 0..3 {
        let reply = forger(&service, BusinessId::new()).get("/api/orders").await;
        let _ = reply.refused(401, "unauthenticated");
    }
    // Whoever looks for a business now waits.
    let held = service.database.hold("LOCK TABLE businesses").await;
    let started = Instant::now();
    for path in ["/api/orders", "/api/products", "/api/auth/me"] {
        let reply = forger(&service, BusinessId::new()).get(path).await;
        let _ = reply.refused(429, "rate_limited");
    }
    assert!(started.elapsed() < Duration::from_secs(1));
    held.release().await;
    // A good credential of a business that is known pays for nobody, and a bad one counts once.
    admin.get("/api/auth/me").await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_key_counts_once() {
    let service = limited(|limits| limits.rate_limit_address = "4/h".parse().unwrap()).await;
    service.admin().get("/api/auth/me").await.ok(200);
    for business in [BusinessId::new(), ACME, BusinessId::new(), ACME] {
        let reply = forger(&service, business).get("/api/orders").await;
        let _ = reply.refused(401, "unauthenticated");
    }
    let reply = forger(&service, ACME).get("/api/orders").await;
    let _ = reply.refused(429, "rate_limited");
}
