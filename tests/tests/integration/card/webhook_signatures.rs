//! These tests check Stripe's webhooks: which are accepted, and their effect on an order. Signatures are made here, by
//! Stripe's own library and by localstripe.

use std::time::Duration;

use chrono::Utc;
use domain::Secret;
use domain::demo::{ACME, ACME_KEYBOARD};
use entity::OrderId;
use reqwest::Method;
use serde_json::{Value, json};
use tests::stripe::{self, Fault, Stripe, WEBHOOK_SECRET, official};
use tests::{Database, Reply, SERVICE, Service, all, books_balance, id_of, until};
use tradeline::config::Settings;
use tradeline::http::limits::RateLimit;

const PATH: &str = "/api/webhooks/stripe";

/// An address without a server; a request to it would fail.
const NOBODY: &str = "http://127.0.0.1:1";

async fn service(settings: &Settings) -> Service {
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    Service::with(database, &url, settings).await
}

/// A `Stripe-Signature` header.
fn signature(secret: &str, at: i64, body: &str) -> String {
    let hex = stripe::hmac(secret, &format!("{at}.{body}"));
    format!("t={at},v1={hex}")
}

fn signed_now(secret: &str, body: &str) -> String {
    signature(secret, Utc::now().timestamp(), body)
}

async fn send(service: &Service, signature: &str, body: &str) -> Reply {
    let nobody = service.nobody();
    let request = nobody
        .request(Method::POST, PATH)
        .header("stripe-signature", signature);
    nobody.send(request.body(body.to_owned())).await
}

/// Sends a webhook signed as Stripe signs.
async fn tell(service: &Service, body: &Value) -> Reply {
    let body = body.to_string();
    send(service, &signed_now(WEBHOOK_SECRET, &body), &body).await
}

fn event(id: &str, kind: &str, object: Value) -> Value {
    json!({"id": id, "object": "event", "type": kind, "created": 1, "data": {"object": object}})
}

fn ping() -> Value {
    event("evt_ping", "customer.created", json!({"id": "cus_1"}))
}

/// Starts a service, a Stripe that sends it events, and an order by card of two keyboards. Returns the ids of the order
/// and of its intent.
async fn ordered() -> (Stripe, Service, String, String) {
    let stripe = Stripe::start().await;
    let service = service(&stripe.settings()).await;
    stripe.tell(&format!("{}{PATH}", service.base)).await;
    let (order, intent) = order(&service).await;
    (stripe, service, order, intent)
}

async fn order(service: &Service) -> (String, String) {
    let placed = service.customer().checkout(&[(ACME_KEYBOARD, 2)]).await;
    let placed = placed.ok(201);
    let secret = placed["client_secret"].as_str().unwrap();
    let intent = secret.split("_secret").next().unwrap().to_owned();
    (id_of(&placed), intent)
}

/// The intent as an event contains it.
fn intent_of(order: &str, intent: &str, minor: i64) -> Value {
    json!({"id": intent, "object": "payment_intent", "amount": minor, "amount_received": minor, "currency": "usd",
           "metadata": {"business_id": ACME, "order_id": order}})
}

async fn comes_to_be(service: &Service, order: &str, status: &str) -> Value {
    let admin = service.admin();
    until(status, async || {
        admin.order(order).await["status"] == status
    })
    .await;
    admin.order(order).await
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_of_stripes_own_library_are_good_and_ours_are_good_there() {
    let service = service(&stripe::settings_for(NOBODY)).await;
    let body = ping().to_string();
    let now = Utc::now().timestamp().to_string();
    let make = "import sys, stripe\n\
                at, body, secret = sys.argv[1:]\n\
                print(stripe.WebhookSignature._compute_signature(f'{at}.{body}', secret))";
    let hex = official(make, &[&now, &body, WEBHOOK_SECRET]).await;
    let reply = send(&service, &format!("t={now},v1={hex}"), &body).await;
    assert_eq!(reply.ok(200), json!({"received": true}));

    let ours = signed_now(WEBHOOK_SECRET, &body);
    let _ = send(&service, &ours, &body).await.ok(200);
    let check = "import sys, stripe\n\
                 header, body, secret = sys.argv[1:]\n\
                 print(stripe.Webhook.construct_event(body, header, secret).id)";
    let id = official(check, &[&ours, &body, WEBHOOK_SECRET]).await;
    assert_eq!(id, "evt_ping");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_signature_gets_the_same_response_and_nothing_is_read() {
    let service = service(&stripe::settings_for(NOBODY)).await;
    let before = service.database.digest().await;
    let body = ping().to_string();
    let now = Utc::now().timestamp();
    let good = signature(WEBHOOK_SECRET, now, &body);
    let _ = send(&service, &good, &body).await.ok(200);
    let mut bad = vec![
        (signature("whsec_of_another", now, &body), body.clone()),
        (signature(WEBHOOK_SECRET, now - 301, &body), body.clone()),
        (signature(WEBHOOK_SECRET, now + 330, &body), body.clone()),
        (signature(WEBHOOK_SECRET, now, "{}"), body.clone()),
        (good.clone(), body.replace("cus_1", "cus_2")),
        (good.clone(), format!("{body}\n")),
        (good.clone(), String::new()),
        (good.replace("v1=", "v0="), body.clone()),
        (format!("t={now}"), body.clone()),
        ("nonsense".to_owned(), body.clone()),
        (String::new(), body.clone()),
        // A body without a valid signature is not parsed.
        (signature("whsec_of_another", now, "{"), "{".to_owned()),
    ];
    let mut answers = Vec::new();
    for (header, body) in bad.drain(..) {
        let reply = send(&service, &header, &body).await;
        let problem = reply.refused(400, "invalid_signature");
        answers.push((header, problem["detail"].clone()));
    }
    let nobody = service.nobody();
    let without = nobody.request(Method::POST, PATH).body(body.clone());
    let reply = nobody.send(without).await;
    answers.push((
        "none".to_owned(),
        reply.refused(400, "invalid_signature")["detail"].clone(),
    ));
    let twice = nobody.request(Method::POST, PATH).body(body.clone());
    let twice = twice.header("stripe-signature", &good);
    let reply = nobody.send(twice.header("stripe-signature", &good)).await;
    answers.push((
        "two".to_owned(),
        reply.refused(400, "invalid_signature")["detail"].clone(),
    ));
    for (header, detail) in &answers {
        assert_eq!(detail, &answers[0].1, "{header}");
    }
    assert_eq!(service.database.digest().await, before);

    // A bearer token does not replace the signature.
    let admin = service.admin();
    let request = admin.request(Method::POST, PATH).body(body);
    let _ = admin.send(request).await.refused(400, "invalid_signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_secret_takes_the_place_of_another_both_are_good() {
    let mut settings = stripe::settings_for(NOBODY);
    let both = Secret::from(format!("whsec_new, {WEBHOOK_SECRET}"));
    settings.payments.stripe_webhook_secret = Some(both);
    let service = service(&settings).await;
    let body = ping().to_string();
    for secret in ["whsec_new", WEBHOOK_SECRET] {
        let _ = send(&service, &signed_now(secret, &body), &body)
            .await
            .ok(200);
    }
    // Stripe signs with both secrets during a rotation.
    let now = Utc::now().timestamp();
    let signed = |secret| stripe::hmac(secret, &format!("{now}.{body}"));
    let (old, other) = (signed(WEBHOOK_SECRET), signed("whsec_gone"));
    let header = format!("t={now},v1={other},v1={old}");
    let _ = send(&service, &header, &body).await.ok(200);
    let header = signed_now("whsec_gone", &body);
    let _ = send(&service, &header, &body)
        .await
        .refused(400, "invalid_signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_nothing_is_believed() {
    let service = Service::start().await;
    let body = ping().to_string();
    for secret in ["", WEBHOOK_SECRET] {
        let header = signed_now(secret, &body);
        let _ = send(&service, &header, &body)
            .await
            .refused(400, "invalid_signature");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_good_is_under_no_rate_and_one_that_is_not_is() {
    let mut settings = stripe::settings_for(NOBODY);
    settings.limits.rate_limit = "6000/min".parse().unwrap();
    settings.limits.rate_limit_address = "5/h".parse().unwrap();
    assert_ne!(settings.limits.rate_limit, RateLimit::Off);
    let service = service(&settings).await;
    for _ in 0..20 {
        let _ = tell(&service, &ping()).await.ok(200);
    }
    let body = ping().to_string();
    let bad = signed_now("whsec_of_another", &body);
    for _ in 0..4 {
        let _ = send(&service, &bad, &body)
            .await
            .refused(400, "invalid_signature");
    }
    let query = service.nobody().post(&format!("{PATH}?x=1"), &ping()).await;
    let _ = query.refused(422, "validation_failed");
    let limited = send(&service, &bad, &body).await;
    let _ = limited.refused(429, "rate_limited");
    assert!(!limited.header("retry-after").is_empty());
    let _ = tell(&service, &ping()).await.ok(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_may_be_as_large_as_any_body_and_must_be_an_event() {
    let service = service(&stripe::settings_for(NOBODY)).await;
    let mut large = ping();
    large["data"]["object"]["name"] = json!("x".repeat(256 * 1024 - large.to_string().len() - 10));
    assert!(large.to_string().len() > 256 * 1024 - 32);
    let _ = tell(&service, &large).await.ok(200);
    large["data"]["object"]["name"] = json!("x".repeat(256 * 1024));
    let _ = tell(&service, &large)
        .await
        .refused(413, "payload_too_large");
    for body in ["", "[]", "{}", "{\"id\": \"evt_1\"}", "not json"] {
        let _ = send(&service, &signed_now(WEBHOOK_SECRET, body), body)
            .await
            .refused(400, "malformed_json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_no_column_can_hold_is_malformed_and_changes_nothing() {
    let (_stripe, service, order, intent) = ordered().await;
    let paid = |id: &str, intent: &str, currency: &str| {
        let mut object = intent_of(&order, intent, 1000);
        object["currency"] = json!(currency);
        event(id, "payment_intent.succeeded", object)
    };
    let refunded = |intent: &str| {
        let metadata = json!({"business_id": ACME, "order_id": order});
        let object = json!({"id": "ch_1", "object": "charge", "payment_intent": intent, "metadata": metadata});
        event("evt_refunded", "charge.refunded", object)
    };
    let before = service.database.digest().await;
    for bad in ["", "evt_\u{0}", "evt 1", &"e".repeat(5000)] {
        for body in [
            paid(bad, &intent, "usd"),
            paid("evt_1", bad, "usd"),
            paid("evt_1", &intent, bad),
            refunded(bad),
            event(bad, "customer.created", json!({"id": "cus_1"})),
        ] {
            let reply = tell(&service, &body).await;
            assert_eq!(reply.status, 400, "{body}: {}", reply.text);
            reply.refused(400, "malformed_json");
        }
    }
    // Amounts out of range, and values that are no amounts.
    for amount in ["1e30", "9223372036854775808", "10.5", "\"1000\"", "null"] {
        let body = paid("evt_1", &intent, "usd").to_string();
        let body = body.replace(
            "\"amount\":1000,\"amount_received\":1000",
            &format!("\"amount\":{amount},\"amount_received\":{amount}"),
        );
        assert!(body.contains(amount), "{body}");
        let reply = send(&service, &signed_now(WEBHOOK_SECRET, &body), &body).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text);
    }
    assert_eq!(service.database.digest().await, before);
    // An amount that differs from the order's pays nothing. A failure reason of any length and content is stored.
    let mut declined = intent_of(&order, &intent, 1000);
    let words = format!("\u{0}no{}", "!".repeat(5000));
    declined["last_payment_error"] = json!({ "message": words });
    let declined = event("evt_2", "payment_intent.payment_failed", declined);
    tell(&service, &declined).await.ok(200);
    let most = event(
        "evt_3",
        "payment_intent.succeeded",
        intent_of(&order, &intent, i64::MAX),
    );
    tell(&service, &most).await.ok(200);
    let found = service.admin().order(&order).await;
    assert_eq!(found["status"], "payment_pending");
    assert_eq!(found["amount_paid"], "0.00");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_irrelevant_event_is_acknowledged_and_changes_nothing() {
    let service = service(&stripe::settings_for(NOBODY)).await;
    let before = service.database.digest().await;
    let no_ones = OrderId::new().to_string();
    let mut of_another_shop = intent_of(&no_ones, "pi_1", 100);
    of_another_shop["metadata"] = json!({"order_id": "6735"});
    let mut of_no_business = intent_of(&no_ones, "pi_1", 100);
    of_no_business["metadata"]["business_id"] = json!(no_ones);
    for (kind, object) in [
        ("customer.created", json!({"id": "cus_1"})),
        ("payment_intent.created", intent_of(&no_ones, "pi_1", 100)),
        ("payment_intent.succeeded", intent_of(&no_ones, "pi_1", 100)),
        ("payment_intent.succeeded", of_another_shop),
        ("payment_intent.canceled", of_no_business),
        (
            "charge.refunded",
            json!({"id": "ch_1", "payment_intent": null, "amount_refunded": 1, "currency": "usd"}),
        ),
    ] {
        let reply = tell(&service, &event("evt_1", kind, object)).await;
        assert_eq!(reply.ok(200), json!({"received": true}), "{kind}");
    }
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_at_stripe_pays_the_order_by_its_webhook() {
    let (stripe, service, declined, intent) = ordered().await;
    let admin = service.admin();
    let (order, to_pay) = self::order(&service).await;
    stripe.decline(&intent).await;
    until("the decline is recorded", async || {
        admin.order(&declined).await["payments"][0]["failure"] == "Your card was declined."
    })
    .await;
    assert_eq!(admin.order(&declined).await["status"], "payment_pending");
    let intent = to_pay;
    stripe.pay(&intent).await;
    let paid = comes_to_be(&service, &order, "paid").await;
    assert_eq!(paid["amount_paid"], paid["total_amount"]);
    assert_eq!(paid["payments"][0]["intent"], intent.as_str());
    books_balance(&service).await;

    // A refund requested here is made at Stripe once.
    let body = json!({"amount": "10.00", "reason": "scratched"});
    let _ = admin.do_to(&order, "refund", &body).await.ok(200);
    until("the order is refunded", async || {
        admin.order(&order).await["refunds"][0]["status"] == "succeeded"
    })
    .await;
    assert_eq!(stripe.count("refunds").await, 1);
    let asked = stripe.asked();
    let refund = asked.iter().find(|asked| asked.what == "POST /v1/refunds");
    let refund = refund.unwrap();
    let id = admin.order(&order).await["refunds"][0]["refund_id"].clone();
    let key = format!("refund-{}", id.as_str().unwrap());
    assert_eq!(refund.headers["idempotency-key"], key);
    assert_eq!(refund.form[1], ("amount".to_owned(), "1000".to_owned()));
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_counts_once_however_often_and_however_much_at_once_it_comes() {
    let (_stripe, service, order, intent) = ordered().await;
    let total = service.admin().order(&order).await["total_amount"].clone();
    let minor: i64 = total.as_str().unwrap().replace('.', "").parse().unwrap();
    let paid = event(
        "evt_paid",
        "payment_intent.succeeded",
        intent_of(&order, &intent, minor),
    );
    let body = paid.to_string();
    let header = signed_now(WEBHOOK_SECRET, &body);
    let nobody = service.nobody();
    let replies = all((0..8).map(|_| {
        let (nobody, header, body) = (nobody.clone(), header.clone(), body.clone());
        async move {
            let request = nobody.request(Method::POST, PATH);
            let request = request.header("stripe-signature", header);
            nobody.send(request.body(body)).await.status
        }
    }))
    .await;
    assert_eq!(replies, [200; 8]);
    assert_eq!(service.admin().order(&order).await["status"], "paid");
    let events = "SELECT count(*) FROM provider_events";
    assert_eq!(service.database.value(events).await, "1");
    let sold = "SELECT count(*) FROM stock_movements WHERE reason = 'sold'";
    assert_eq!(service.database.value(sold).await, "1");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_money_than_was_asked_for_pays_nothing() {
    for (minor, currency) in [(1, "usd"), (10_000_000, "usd"), (0, "eur"), (0, "jpy")] {
        let (_stripe, service, order, intent) = ordered().await;
        let total = service.admin().order(&order).await["total_amount"].clone();
        let whole: i64 = total.as_str().unwrap().replace('.', "").parse().unwrap();
        let minor = if minor == 0 { whole } else { minor };
        let mut object = intent_of(&order, &intent, minor);
        object["currency"] = json!(currency);
        let _ = tell(
            &service,
            &event("evt_1", "payment_intent.succeeded", object),
        )
        .await
        .ok(200);
        let found = service.admin().order(&order).await;
        assert_eq!(found["status"], "payment_pending", "{minor} {currency}");
        assert_eq!(found["payments"][0]["status"], "mismatched");
        books_balance(&service).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_cancellation_and_refund_at_stripe_reach_the_order() {
    let (stripe, service, order, intent) = ordered().await;
    let cancelled = event(
        "evt_1",
        "payment_intent.canceled",
        intent_of(&order, &intent, 0),
    );
    let _ = tell(&service, &cancelled).await.ok(200);
    let found = service.admin().order(&order).await;
    assert_eq!(found["status"], "cancelled");
    assert_eq!(found["cancel_reason"], "payment_cancelled");

    let (order, intent) = self::order(&service).await;
    stripe.pay(&intent).await;
    comes_to_be(&service, &order, "paid").await;
    // One refund by the service and one manual refund.
    let body = json!({"amount": "1.00", "reason": "a scratch"});
    let _ = service.admin().do_to(&order, "refund", &body).await.ok(200);
    until("the service's refund is made", async || {
        stripe.count("refunds").await == 1
    })
    .await;
    stripe.refund_by_hand(&intent, 250).await;
    // This charge names no order, so the service reads its intent, and then the refunds to find its own.
    let charge = json!({"id": "ch_1", "payment_intent": intent, "amount_refunded": 350, "currency": "usd",
                        "metadata": {}});
    let refunded = event("evt_2", "charge.refunded", charge);
    stripe.fault(&[Fault::LoseAnswer]);
    let _ = tell(&service, &refunded)
        .await
        .refused(502, "payment_provider_error");
    stripe.fault(&[Fault::Delay(Duration::ZERO), Fault::LoseAnswer]);
    let _ = tell(&service, &refunded)
        .await
        .refused(502, "payment_provider_error");
    let _ = tell(&service, &refunded).await.ok(200);
    // The same money in another event.
    let charge = refunded["data"]["object"].clone();
    let _ = tell(&service, &event("evt_3", "charge.refunded", charge))
        .await
        .ok(200);
    let found = service.admin().order(&order).await;
    assert_eq!(found["amount_refunded"], "3.50", "{found}");
    assert_eq!(stripe.count("refunds").await, 2);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_database_makes_stripe_send_again() {
    let stripe = Stripe::start().await;
    let database = Database::with_demo().await;
    let proxy = tests::Proxy::to(&database).await;
    let service = Service::with(database, proxy.url(), &stripe.settings()).await;
    let (order, intent) = order(&service).await;
    let total = service.admin().order(&order).await["total_amount"].clone();
    let minor: i64 = total.as_str().unwrap().replace('.', "").parse().unwrap();
    let paid = event(
        "evt_paid",
        "payment_intent.succeeded",
        intent_of(&order, &intent, minor),
    );
    proxy.down().await;
    let reply = tell(&service, &paid).await;
    let _ = reply.refused(503, "database_unavailable");
    proxy.up();
    until("the event is processed", async || {
        tell(&service, &paid).await.status == 200
    })
    .await;
    comes_to_be(&service, &order, "paid").await;
}
