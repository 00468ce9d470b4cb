//! These tests check refunds that change at the provider after they were made. The order shows the provider's current
//! state, whatever the order of events.

use serde_json::json;
use tests::stripe::Fault;
use tests::{StripeShop, books_balance, until};

/// The events with which Stripe reports refunds.
const KINDS: [&str; 4] = [
    "refund.failed",
    "refund.updated",
    "charge.refund.updated",
    "refund.created",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_fails_after_it_had_succeeded_counts_no_more_and_a_person_is_asked_to_look() {
    for kind in KINDS {
        let shop = StripeShop::open().await;
        let (order, intent) = shop.paid().await;
        let admin = shop.service.admin();
        let body = json!({"amount": "40.00", "reason": "a scratch"});
        let _ = admin.do_to(&order, "refund", &body).await.ok(200);
        until("it is made", async || {
            shop.order_now(&order).await["refunds"][0]["status"] == "succeeded"
        })
        .await;
        let refund = shop.refund_ids().await.remove(0);
        shop.stripe.settle_refund(&refund, "failed");
        let _ = shop.tell_refund(kind, &intent).await.ok(200);
        let found = shop.order_now(&order).await;
        assert_eq!(found["amount_refunded"], "0.00", "{kind}");
        assert_eq!(found["refunds"][0]["status"], "failed");
        assert_eq!(found["refunds"][0]["failure"], "failed");
        assert_eq!(found["attention"], json!(["refund_failed"]));
        let failed = admin.get("/api/audit?action=refund.failed").await.ok(200);
        let entry = &failed["data"][0];
        assert_eq!(entry["before"]["status"], "succeeded");
        assert_eq!(entry["after"]["order_id"], order.as_str());
        books_balance(&shop.service).await;

        // An earlier event arrives late, and the last event arrives again.
        for late in ["charge.refunded", kind] {
            let _ = shop.tell_refund(late, &intent).await.ok(200);
        }
        assert_eq!(shop.order_now(&order).await["refunds"], found["refunds"]);
        // A new refund shows that a person has dealt with the failure.
        let again = admin.do_to(&order, "refund", &body).await.ok(200);
        assert_eq!(again["attention"], json!([]));
        assert_eq!(again["amount_refunded"], "40.00");
        books_balance(&shop.service).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_by_hand_counts_while_it_stands_and_not_when_it_is_cancelled() {
    let shop = StripeShop::open().await;
    let (order, intent) = shop.paid().await;
    for minor in [250, 100] {
        shop.stripe.refund_by_hand(&intent, minor).await;
    }
    let _ = shop.tell_refund("charge.refunded", &intent).await.ok(200);
    let found = shop.order_now(&order).await;
    assert_eq!(found["amount_refunded"], "3.50");
    let refunds = found["refunds"].as_array().unwrap();
    assert_eq!(refunds.len(), 2);
    assert!(refunds.iter().all(|refund| refund["by_hand"] == true));

    let small = shop.refund_of(100).await;
    shop.stripe.settle_refund(&small, "canceled");
    let _ = shop.tell_refund("refund.updated", &intent).await.ok(200);
    let found = shop.order_now(&order).await;
    assert_eq!(found["amount_refunded"], "2.50");
    // The cancelled refund was not the service's, so it needs no attention.
    assert_eq!(found["attention"], json!([]));
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_event_before_its_payment_counts_once_the_payment_is_known() {
    let shop = StripeShop::open().await;
    let keyboard = domain::demo::ACME_KEYBOARD;
    let (order, intent) = shop.order(&[(keyboard, 2)]).await;
    shop.stripe.pay(&intent).await;
    shop.stripe.refund_by_hand(&intent, 250).await;
    let _ = shop.tell_refund("charge.refunded", &intent).await.ok(200);
    assert_eq!(shop.order_now(&order).await["amount_refunded"], "0.00");
    let object = shop.stripe.get(&format!("payment_intents/{intent}")).await;
    let _ = shop.tell("payment_intent.succeeded", object).await.ok(200);
    until("the refund is counted", async || {
        shop.order_now(&order).await["amount_refunded"] == "2.50"
    })
    .await;
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_refund_response_does_not_overwrite_a_newer_one() {
    let shop = StripeShop::open().await;
    let (order, intent) = shop.paid().await;
    shop.stripe.refund_by_hand(&intent, 250).await;
    let refund = shop.refund_ids().await.remove(0);
    let before = shop.stripe.asked().len();
    // The service requests the intent and then the refunds; only the second response is delayed.
    let slow = std::time::Duration::from_secs(2);
    shop.stripe
        .fault(&[Fault::Delay(std::time::Duration::ZERO), Fault::Delay(slow)]);
    let early = shop.tell_refund("refund.created", &intent);
    let late = async {
        until("the refunds are asked for", async || {
            shop.stripe.asked().len() == before + 2
        })
        .await;
        tokio::time::sleep(slow / 4).await;
        shop.stripe.settle_refund(&refund, "failed");
        let _ = shop.tell_refund("refund.failed", &intent).await.ok(200);
    };
    let (early, ()) = tokio::join!(early, late);
    let _ = early.ok(200);
    assert_eq!(shop.order_now(&order).await["amount_refunded"], "0.00");
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stripe_makes_events_fail_and_repeat() {
    let shop = StripeShop::open().await;
    let (order, intent) = shop.paid().await;
    shop.stripe.refund_by_hand(&intent, 250).await;
    let charge = json!({"id": "ch_1", "payment_intent": intent, "metadata": {}});
    for faults in [
        vec![Fault::Status(500)],
        vec![Fault::Delay(std::time::Duration::ZERO), Fault::LoseAnswer],
    ] {
        shop.stripe.fault(&faults);
        let silent = shop
            .tell_as("evt_one", "charge.refunded", charge.clone())
            .await;
        let _ = silent.refused(502, "payment_provider_error");
        assert_eq!(shop.order_now(&order).await["amount_refunded"], "0.00");
    }
    for _ in 0..2 {
        let reply = shop
            .tell_as("evt_one", "charge.refunded", charge.clone())
            .await;
        let _ = reply.ok(200);
    }
    assert_eq!(shop.order_now(&order).await["amount_refunded"], "2.50");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_refunds_the_amount_of_a_failed_refund() {
    let shop = StripeShop::open().await;
    let (order, intent) = shop.paid().await;
    let admin = shop.service.admin();
    let body = json!({"amount": "40.00", "reason": "a scratch"});
    let _ = admin.do_to(&order, "refund", &body).await.ok(200);
    until("it is made", async || {
        shop.order_now(&order).await["refunds"][0]["status"] == "succeeded"
    })
    .await;
    let refund = shop.refund_ids().await.remove(0);
    shop.stripe.settle_refund(&refund, "failed");
    let _ = shop.tell_refund("refund.failed", &intent).await.ok(200);
    let cancelled = admin.do_to(&order, "cancel", &json!({})).await.ok(200);
    assert_eq!(cancelled["amount_refunded"], "100.00");
    assert_eq!(cancelled["attention"], json!([]));
    books_balance(&shop.service).await;
}
