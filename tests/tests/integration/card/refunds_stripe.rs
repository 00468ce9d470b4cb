//! These tests check that a refund is made at Stripe once, even when it is retried after Stripe has deleted the key.

use std::time::Duration;

use domain::card;
use domain::card::checkout::{Event, EventKind, EventOutcome};
use domain::card::provider::{Offline, Provider, RefundState, WantedIntent, WantedRefund};
use domain::demo::{ACME, ACME_KEYBOARD};
use entity::{Currency, Money, RefundId};
use serde_json::{Value, json};
use tests::stripe::{Fault, Stripe};
use tests::{SERVICE, Service, books_balance};

const STRIPE: &str = tradeline::payments::stripe::Stripe::NAME;

/// A request timeout that no request here reaches unless it is meant to be late.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);

fn dollars(amount: &str) -> Money {
    Money::parse(amount, Currency::USD).unwrap()
}

/// An order of 100.00 that is paid at Stripe. The service has no key for Stripe, so the payment worker runs only when a
/// test runs it.
struct Shop {
    stripe: Stripe,
    service: Service,
    pool: domain::Database,
    order: String,
    intent: String,
}

impl Shop {
    async fn paid() -> Self {
        let stripe = Stripe::start().await;
        let service = Service::start().await;
        let order = service
            .customer()
            .order_by_card(&[(ACME_KEYBOARD, 2)])
            .await;
        let wanted = WantedIntent {
            business_id: ACME,
            order_id: order.parse().unwrap(),
            amount: dollars("100.00"),
            currency: Currency::USD,
        };
        let intent = stripe
            .adapter(RESPONSE_TIMEOUT)
            .create(&wanted)
            .await
            .unwrap()
            .id;
        stripe.pay(&intent).await;
        let is_stripes = format!(
            "UPDATE payment_intents SET provider = '{STRIPE}', provider_id = '{intent}'
              WHERE order_id = '{order}'"
        );
        service.database.execute(&is_stripes).await;
        let pool = domain::Database::new(&service.database.url(SERVICE), 1).unwrap();
        let event = Event {
            provider: STRIPE,
            id: "evt_paid".to_owned(),
            kind: "payment_intent.succeeded".to_owned(),
            business_id: ACME,
            order_id: wanted.order_id,
            intent: intent.clone(),
            event_kind: EventKind::Paid(Offline::received(wanted.amount, wanted.currency)),
        };
        let taken = card::receive(&pool, &stripe.adapter(RESPONSE_TIMEOUT), &event)
            .await
            .unwrap();
        assert_eq!(taken, EventOutcome::Now);
        Self {
            stripe,
            service,
            pool,
            order,
            intent,
        }
    }

    /// Requests a refund as an admin; Stripe gets no request yet.
    async fn refund(&self, amount: &str) {
        let body = json!({"amount": amount, "reason": "a scratch"});
        let admin = self.service.admin();
        let _ = admin.do_to(&self.order, "refund", &body).await.ok(200);
    }

    /// Makes the refund due, runs the payment worker once, and returns the refund.
    async fn ask(&self) -> Value {
        let due = "UPDATE refunds SET next_try_at = now() WHERE next_try_at IS NOT NULL";
        self.service.database.execute(due).await;
        let adapter = self.stripe.adapter(RESPONSE_TIMEOUT);
        card::work(&self.pool, &adapter, ACME).await.unwrap();
        let sql = "SELECT status, tries, provider_id FROM refunds";
        self.service.database.row(sql).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_whose_answer_was_lost_is_found_again_after_its_key_is_forgotten() {
    for (amount, looks) in [
        // A partial refund, which Stripe would accept twice.
        ("25.00", vec![]),
        // A full refund, which Stripe would not accept twice.
        ("100.00", vec![]),
        // A failed lookup says nothing about the refund.
        (
            "25.00",
            vec![Fault::LoseAnswer, Fault::Status(500), Fault::Status(404)],
        ),
    ] {
        let shop = Shop::paid().await;
        shop.refund(amount).await;
        shop.stripe.fault(&[Fault::LoseAnswer]);
        let mut tries = 1;
        let open = |tries| json!({"status": "requested", "tries": tries, "provider_id": null});
        assert_eq!(shop.ask().await, open(tries), "{amount}");
        assert_eq!(shop.stripe.count("refunds").await, 1, "{amount}");

        shop.stripe.forget_keys();
        for fault in looks {
            shop.stripe.fault(&[fault]);
            tries += 1;
            assert_eq!(shop.ask().await, open(tries), "{fault:?}");
        }
        let given = shop.ask().await;
        let there = shop.stripe.get("refunds").await["data"].clone();
        assert_eq!(there.as_array().unwrap().len(), 1, "{there}");
        let done =
            json!({"status": "succeeded", "tries": tries + 1, "provider_id": there[0]["id"]});
        assert_eq!(given, done, "{amount}");
        let order = shop.service.admin().order(&shop.order).await;
        assert_eq!(order["amount_refunded"], amount);
        books_balance(&shop.service).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_never_arrived_is_made_later_beside_those_of_others() {
    let shop = Shop::paid().await;
    shop.refund("25.00").await;
    shop.stripe.fault(&[Fault::LoseRequest]);
    assert_eq!(shop.ask().await["status"], "requested");
    assert_eq!(shop.stripe.count("refunds").await, 0);
    // A manual refund of the same amount is a different refund.
    shop.stripe.refund_by_hand(&shop.intent, 2500).await;
    assert_eq!(shop.ask().await["status"], "succeeded");
    assert_eq!(shop.stripe.count("refunds").await, 2);
    // The second attempt looks for an existing refund, because the first may have succeeded. The first attempt did not.
    let asked = shop.stripe.asked();
    let asked = asked.iter().map(|asked| asked.what.split('?').next());
    let asked: Vec<_> = asked.map(Option::unwrap).collect();
    assert_eq!(
        asked[asked.len() - 3..],
        ["POST /v1/refunds", "GET /v1/refunds", "POST /v1/refunds"]
    );
    let order = shop.service.admin().order(&shop.order).await;
    assert_eq!(order["amount_refunded"], "25.00");
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_found_behind_any_number_of_others() {
    let shop = Shop::paid().await;
    let wanted = WantedRefund {
        refund_id: RefundId::new(),
        intent: shop.intent.clone(),
        amount: dollars("1.00"),
        currency: Currency::USD,
        asked_before: false,
    };
    let adapter = shop.stripe.adapter(RESPONSE_TIMEOUT);
    let made = adapter.refund(&wanted).await.unwrap();
    assert_eq!(made.state, RefundState::Succeeded);
    // Stripe lists the newest refunds first, 100 per page.
    for _ in 0..101 {
        shop.stripe.refund_by_hand(&shop.intent, 1).await;
    }
    shop.stripe.forget_keys();
    let again = WantedRefund {
        asked_before: true,
        ..wanted
    };
    assert_eq!(adapter.refund(&again).await.unwrap(), made);
}
