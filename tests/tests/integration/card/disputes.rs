//! These tests check disputed payments: the order shows the dispute, is not fulfilled by mistake, and no money is
//! refunded twice.

use domain::demo::ACME_KEYBOARD;
use serde_json::json;
use tests::{StripeShop, books_balance, dispute};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_tells_its_dispute_and_is_fulfilled_only_when_that_is_acknowledged() {
    let shop = StripeShop::open().await;
    let (order, intent) = shop.paid().await;
    let open = dispute(&intent, "needs_response");
    let reply = shop.tell_dispute("charge.dispute.created", &open).await;
    let _ = reply.ok(200);
    let found = shop.order_now(&order).await;
    assert_eq!(found["attention"], json!(["dispute_open"]));
    assert_eq!(found["amount_lost"], "0.00");
    let one = &found["disputes"][0];
    let id = one["dispute_id"].clone();
    assert_eq!(one["amount"], "100.00");
    assert_eq!(one["reason"], "fraudulent");
    assert_eq!(one["status"], "needs_response");
    assert_eq!(one["evidence_due_at"], "2030-01-01T00:00:00.000000Z");
    assert_eq!(one["funds_withdrawn"], true);
    assert_eq!(one["provider_dispute"], "dp_1");

    let admin = shop.service.admin();
    let trail = format!(
        "/api/audit?entity_type=dispute&entity_id={}",
        id.as_str().unwrap()
    );
    let entry = admin.get(&trail).await.ok(200)["data"][0].clone();
    assert_eq!(entry["action"], "dispute.opened");
    assert_eq!(entry["after"]["order_id"], order.as_str());
    assert_eq!(entry["after"]["amount"], "100.00");

    let before = shop.service.database.digest().await;
    let part = json!({"amount": "1.00", "reason": "a scratch"});
    for (what, body) in [
        ("refund", part),
        ("cancel", json!({})),
        ("fulfill", json!({})),
        ("fulfill", json!({"acknowledge_dispute": false})),
    ] {
        let refused = admin.do_to(&order, what, &body).await;
        let refused = refused.refused(409, "dispute_open");
        assert_eq!(refused["dispute_id"], id, "{what}");
    }
    assert_eq!(shop.service.database.digest().await, before);
    let body = json!({"acknowledge_dispute": true});
    let sent = shop.service.staff().do_to(&order, "fulfill", &body).await;
    assert_eq!(sent.ok(200)["status"], "fulfilled");
    let trail = format!("/api/audit?entity_id={order}&action=order.fulfilled");
    let entry = admin.get(&trail).await.ok(200)["data"][0].clone();
    assert_eq!(entry["after"]["acknowledge_dispute"], true);
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_dispute_is_lost_money_and_nothing_more_goes_back() {
    let shop = StripeShop::open().await;
    let (order, intent) = shop.paid().await;
    let admin = shop.service.admin();
    let _ = shop
        .tell_dispute("charge.dispute.closed", &dispute(&intent, "lost"))
        .await
        .ok(200);
    let found = shop.order_now(&order).await;
    assert_eq!(found["amount_lost"], "100.00");
    assert_eq!(found["amount_refunded"], "0.00");
    assert_eq!(found["attention"], json!(["dispute_lost"]));
    let rest = json!({"reason": "sorry"});
    for (what, body) in [("refund", &rest), ("fulfill", &json!({}))] {
        let refused = admin.do_to(&order, what, body).await;
        let _ = refused.refused(409, "dispute_open");
    }
    books_balance(&shop.service).await;
    // Nothing is left to refund, so the order can be cancelled, which restocks its units.
    let stock = async || {
        let path = format!("/api/inventory/{ACME_KEYBOARD}");
        admin.get(&path).await.ok(200)["on_hand"].as_i64().unwrap()
    };
    let before = stock().await;
    let cancelled = admin.do_to(&order, "cancel", &json!({})).await.ok(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(cancelled["refunds"], json!([]));
    assert_eq!(stock().await, before + 2);
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_payment_that_was_lost_in_part_the_rest_is_not_refunded_either() {
    let shop = StripeShop::open().await;
    let (order, intent) = shop.paid().await;
    let mut part = dispute(&intent, "lost");
    part["amount"] = json!(2500);
    let reply = shop.tell_dispute("charge.dispute.closed", &part).await;
    let _ = reply.ok(200);
    assert_eq!(shop.order_now(&order).await["amount_lost"], "25.00");
    let refused = shop
        .service
        .admin()
        .do_to(&order, "cancel", &json!({}))
        .await;
    let _ = refused.refused(409, "dispute_open");
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_dispute_is_won_or_withdrawn_is_like_any_other() {
    for over in ["won", "warning_closed"] {
        let shop = StripeShop::open().await;
        let (order, intent) = shop.paid().await;
        let open = dispute(&intent, "under_review");
        let reply = shop.tell_dispute("charge.dispute.created", &open).await;
        let _ = reply.ok(200);
        let mut closed = dispute(&intent, over);
        let back = json!({"id": "txn_2", "amount": 10_000});
        closed["balance_transactions"]
            .as_array_mut()
            .unwrap()
            .push(back);
        for kind in ["charge.dispute.funds_reinstated", "charge.dispute.closed"] {
            let _ = shop.tell_dispute(kind, &closed).await.ok(200);
        }
        let found = shop.order_now(&order).await;
        assert_eq!(found["attention"], json!([]), "{over}");
        assert_eq!(found["disputes"].as_array().unwrap().len(), 1);
        assert_eq!(found["disputes"][0]["funds_withdrawn"], false);
        let rest = json!({"reason": "sorry"});
        let refunded = shop.service.admin().do_to(&order, "refund", &rest).await;
        assert_eq!(refunded.ok(200)["amount_refunded"], "100.00");
        books_balance(&shop.service).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_dispute_in_any_order_end_in_the_state_at_stripe() {
    let shop = StripeShop::open().await;
    let (order, intent) = shop.paid().await;
    // Stripe's dispute is already in its last state when the first event arrives.
    shop.stripe.dispute(&dispute(&intent, "lost"));
    for (kind, then) in [
        ("charge.dispute.closed", "lost"),
        ("charge.dispute.updated", "under_review"),
        ("charge.dispute.funds_withdrawn", "needs_response"),
        ("charge.dispute.created", "needs_response"),
    ] {
        let reply = shop.tell(kind, dispute(&intent, then)).await;
        let _ = reply.ok(200);
        let found = shop.order_now(&order).await;
        assert_eq!(found["disputes"][0]["status"], "lost", "{kind}");
        assert_eq!(found["amount_lost"], "100.00");
    }
    let entries = "SELECT count(*) FROM audit_events WHERE entity_type = 'dispute'";
    assert_eq!(shop.service.database.value(entries).await, "1");
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_that_stripe_does_not_know_or_of_no_order_changes_nothing() {
    let shop = StripeShop::open().await;
    let (_, intent) = shop.paid().await;
    let before = shop.service.database.digest().await;
    let unknown = dispute(&intent, "lost");
    let reply = shop.tell("charge.dispute.closed", unknown).await;
    let _ = reply.refused(502, "payment_provider_error");
    let of_nobody = dispute("pi_nobodys", "lost");
    let reply = shop.tell_dispute("charge.dispute.closed", &of_nobody).await;
    let _ = reply.ok(200);
    assert_eq!(shop.service.database.digest().await, before);
}
