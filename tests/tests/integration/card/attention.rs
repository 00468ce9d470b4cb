//! These tests check orders that need a person's attention: which orders, for which reason, and that they still end.

use domain::demo::{ACME, ACME_KEYBOARD};
use serde_json::json;
use tests::{Service, StripeShop, books_balance, dispute, until};

/// The intent of an order of 100.00 USD, of which `minor` cents were received.
fn received(order: &str, intent: &str, minor: i64) -> serde_json::Value {
    json!({"id": intent, "object": "payment_intent", "amount": 10_000, "amount_received": minor, "currency": "usd",
           "metadata": {"business_id": ACME, "order_id": order}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_of_another_amount_ends_its_order_in_time_and_is_looked_at_until_it_is_given_back()
 {
    let shop = StripeShop::open().await;
    let (order, intent) = shop.order(&[(ACME_KEYBOARD, 2)]).await;
    shop.stripe.pay(&intent).await;
    let part = received(&order, &intent, 4000);
    let _ = shop.tell("payment_intent.succeeded", part).await.ok(200);
    let found = shop.order_now(&order).await;
    assert_eq!(found["status"], "payment_pending");
    assert_eq!(found["attention"], json!(["payment_mismatched"]));
    let mismatch =
        |minor| json!({"currency": "USD", "received_minor": 4000, "returned_minor": minor});
    assert_eq!(found["payments"][0]["mismatch"], mismatch(0));

    shop.service.database.let_time_pass(&order).await;
    until("the order is cancelled", async || {
        shop.order_now(&order).await["status"] == "cancelled"
    })
    .await;
    let over = shop.order_now(&order).await;
    assert_eq!(over["cancel_reason"], "payment_expired");
    assert_eq!(over["attention"], json!(["payment_mismatched"]));
    books_balance(&shop.service).await;

    // A person refunds the payment at Stripe in two parts.
    for (minor, returned, attention) in [
        (1500, 1500, json!(["payment_mismatched"])),
        (2500, 4000, json!([])),
    ] {
        shop.stripe.refund_by_hand(&intent, minor).await;
        let _ = shop.tell_refund("charge.refunded", &intent).await.ok(200);
        let found = shop.order_now(&order).await;
        assert_eq!(found["payments"][0]["mismatch"], mismatch(returned));
        assert_eq!(found["attention"], attention);
        assert_eq!(found["amount_refunded"], "0.00");
    }
    let trail = format!("/api/audit?entity_id={order}&action=payment.returned");
    let entries = shop.service.admin().get(&trail).await.ok(200);
    assert_eq!(entries["data"][0]["after"]["returned_minor"], 4000);
    books_balance(&shop.service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_can_be_filtered_by_attention_reason() {
    let shop = StripeShop::open().await;
    let (disputed, intent) = shop.paid().await;
    let open = dispute(&intent, "needs_response");
    let reply = shop.tell_dispute("charge.dispute.created", &open).await;
    let _ = reply.ok(200);
    let (mismatched, intent) = shop.order(&[(ACME_KEYBOARD, 2)]).await;
    let part = received(&mismatched, &intent, 4000);
    let _ = shop.tell("payment_intent.succeeded", part).await.ok(200);
    let _ = shop.order(&[(ACME_KEYBOARD, 1)]).await;
    let staff = shop.service.staff();
    let found = async |query: &str| {
        let page = staff.get(&format!("/api/orders?{query}")).await.ok(200);
        let rows = page["data"].as_array().unwrap().clone();
        rows.iter().map(tests::id_of).collect::<Vec<_>>()
    };
    assert_eq!(found("attention=true").await, [&*mismatched, &*disputed]);
    assert_eq!(found("attention=dispute_open").await, [&*disputed]);
    assert_eq!(found("attention=payment_mismatched").await, [&*mismatched]);
    assert_eq!(found("attention=refund_failed").await, [""; 0]);
    assert_eq!(found("attention=true&status=paid").await, [&*disputed]);
    assert_eq!(found("attention=true&limit=1").await, [&*mismatched]);
    for wrong in ["attention=false", "attention=lost", "attention="] {
        let refused = staff.get(&format!("/api/orders?{wrong}")).await;
        let refused = refused.refused(422, "validation_failed");
        let message = refused["errors"][0]["message"].as_str().unwrap();
        assert!(
            message.starts_with("must be one of true, payment_mismatched"),
            "{message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_without_problems_has_no_attention() {
    let service = Service::start().await;
    let _ = service.staff().buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
    let order = service
        .customer()
        .order_by_card(&[(ACME_KEYBOARD, 1)])
        .await;
    let _ = service.pay(&order).await.ok(200);
    let marked = "SELECT count(*) FROM orders WHERE attention IS NOT NULL";
    assert_eq!(service.database.value(marked).await, "0");
    let index = "SELECT pg_get_expr(indpred, indrelid) = '(attention IS NOT NULL)' FROM pg_index
                  WHERE indexrelid = 'orders_attention_idx'::regclass";
    assert_eq!(service.database.value(index).await, "t");
}
