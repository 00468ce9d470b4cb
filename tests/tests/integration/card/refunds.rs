//! These tests check refunds of card payments: in full, by amount or by items, and never more than was received.

use domain::demo::ACME_HEADPHONES;
use entity::ProductId;
use serde_json::{Value, json};
use tests::{Service, all, books_balance, until};

/// Starts a service with a paid order of five units at 20.00 each, out of ten.
async fn paid() -> (Service, ProductId, String) {
    let service = Service::start().await;
    let product = service.admin().add_product("CARD-1", "20.00", 10).await;
    let order = service.customer().order_by_card(&[(product, 5)]).await;
    service.pay(&order).await.ok(200);
    (service, product, order)
}

async fn on_hand(service: &Service, product: ProductId) -> Value {
    let stock = service
        .staff()
        .get(&format!("/api/inventory/{product}"))
        .await;
    stock.ok(200)["on_hand"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_refunded_by_amount_by_items_and_to_the_end() {
    let (service, product, order) = paid().await;
    let admin = service.admin();
    let body = json!({"amount": "10.00", "reason": "a scratch"});
    let refunded = admin.do_to(&order, "refund", &body).await.ok(200);
    assert_eq!(
        (&refunded["amount_refunded"], &refunded["amount_paid"]),
        (&json!("10.00"), &json!("100.00"))
    );
    let items =
        json!([{"product_id": product, "quantity": 1}, {"product_id": product, "quantity": 1}]);
    let body = json!({"items": items, "reason": "came back", "restock": true});
    let refunded = admin.do_to(&order, "refund", &body).await.ok(200);
    assert_eq!(refunded["amount_refunded"], "50.00");
    assert_eq!(on_hand(&service, product).await, 7);
    books_balance(&service).await;
    let trail = format!("/api/audit?entity_id={order}&action=order.refunded");
    let entry = admin.get(&trail).await.ok(200)["data"][0]["after"].clone();
    let said = ["amount", "reason", "amount_refunded"].map(|member| entry[member].clone());
    assert_eq!(said, ["40.00", "came back", "50.00"], "{entry}");
    assert_eq!(
        entry["items"],
        json!([{"product_id": product, "quantity": 2}])
    );
    // Three units were not refunded by items, and 50.00 are left to refund.
    let four = json!({"items": [{"product_id": product, "quantity": 4}], "reason": "all"});
    let refused = admin
        .do_to(&order, "refund", &four)
        .await
        .refused(409, "creditable_quantity_exceeded");
    assert_eq!(refused["creditable"], 3);
    let three = json!({"items": [{"product_id": product, "quantity": 3}], "reason": "all"});
    let refused = admin
        .do_to(&order, "refund", &three)
        .await
        .refused(409, "refundable_amount_exceeded");
    assert_eq!(refused["refundable"], "50.00");
    assert_eq!(refused["currency"], "USD");
    let rest = admin
        .do_to(&order, "refund", &json!({"reason": "the rest"}))
        .await
        .ok(200);
    assert_eq!(
        (&rest["amount_refunded"], &rest["status"]),
        (&json!("100.00"), &json!("paid"))
    );
    let over = admin
        .do_to(
            &order,
            "refund",
            &json!({"amount": "0.01", "reason": "more"}),
        )
        .await;
    assert_eq!(over.refused(409, "already_refunded")["order_id"], order);
    // Goods whose money is back are not sent.
    let sent = service.staff().do_to(&order, "fulfill", &json!({})).await;
    sent.refused(409, "already_refunded");
    until("all refunds are made", async || {
        let now = admin.order(&order).await;
        let refunds = now["refunds"].as_array().unwrap().clone();
        refunds.len() == 3 && refunds.iter().all(|one| one["status"] == "succeeded")
    })
    .await;
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_refunds_at_once_give_back_no_more_than_was_paid() {
    let (service, _, order) = paid().await;
    let body = json!({"amount": "60.00", "reason": "both"});
    let refunds = (0..8).map(|_| {
        let (admin, order, body) = (service.admin(), order.clone(), body.clone());
        async move { admin.do_to(&order, "refund", &body).await.status }
    });
    let mut statuses = all(refunds).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(
        service.admin().order(&order).await["amount_refunded"],
        "60.00"
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_refund_is_one_refund() {
    let (service, product, order) = paid().await;
    let (admin, path) = (service.admin(), format!("/api/orders/{order}/refund"));
    let items = json!([{"product_id": product, "quantity": 1}]);
    let body = json!({"items": items, "reason": "came back", "restock": true});
    let first = admin.post_once("one", &path, &body).await;
    let again = admin.post_once("one", &path, &body).await;
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.text, again.text);
    assert_eq!(admin.order(&order).await["amount_refunded"], "20.00");
    assert_eq!(on_hand(&service, product).await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_order_is_cancelled_by_an_admin_alone_and_what_is_left_goes_back() {
    let (service, product, order) = paid().await;
    let items = json!([{"product_id": product, "quantity": 2}]);
    let body = json!({"items": items, "reason": "broken"});
    service.admin().do_to(&order, "refund", &body).await.ok(200);
    for other in [service.staff(), service.customer()] {
        other
            .do_to(&order, "cancel", &json!({}))
            .await
            .refused(403, "forbidden");
    }
    let cancelled = service
        .admin()
        .do_to(&order, "cancel", &json!({}))
        .await
        .ok(200);
    assert_eq!(
        (&cancelled["status"], &cancelled["amount_refunded"]),
        (&json!("cancelled"), &json!("100.00"))
    );
    // The two units refunded without a restock stay out of stock.
    assert_eq!(on_hand(&service, product).await, 8);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_paid_by_card_is_refunded() {
    let (service, product, _) = paid().await;
    let admin = service.admin();
    let body = json!({"reason": "why not"});
    let on_credit = admin.buy(&[(ACME_HEADPHONES, 1)]).await.ok(201);
    let on_credit = tests::id_of(&on_credit);
    admin
        .do_to(&on_credit, "refund", &body)
        .await
        .refused(409, "not_paid_by_card");
    let unpaid = service.customer().order_by_card(&[(product, 1)]).await;
    admin
        .do_to(&unpaid, "refund", &body)
        .await
        .refused(409, "not_paid");
    let unknown = entity::OrderId::new().to_string();
    admin
        .do_to(&unknown, "refund", &body)
        .await
        .refused(404, "order_not_found");
    for bad in [
        json!({}),
        json!({"reason": ""}),
        json!({"reason": "x", "amount": "0.00"}),
        json!({"reason": "x", "amount": "1.00", "items": [{"product_id": product, "quantity": 1}]}),
        json!({"reason": "x", "amount": "1.00", "restock": true}),
        json!({"reason": "x", "restock": true}),
    ] {
        admin
            .do_to(&unpaid, "refund", &bad)
            .await
            .refused(422, "validation_failed");
    }
}

fn items(product: ProductId, quantity: i64, restock: bool) -> Value {
    json!({"items": [{"product_id": product, "quantity": quantity}], "reason": "came back", "restock": restock})
}

#[tokio::test(flavor = "multi_thread")]
async fn goods_come_back_after_their_payment_was_refunded_by_amount_for_what_is_left_of_it() {
    let (service, product, order) = paid().await;
    let admin = service.admin();
    let most = json!({"amount": "70.00", "reason": "arrived late"});
    admin.do_to(&order, "refund", &most).await.ok(200);
    let partly = admin
        .do_to(&order, "refund", &items(product, 2, true))
        .await
        .ok(200);
    assert_eq!(partly["amount_refunded"], "100.00");
    let all = admin
        .do_to(&order, "refund", &items(product, 3, true))
        .await
        .ok(200);
    assert_eq!(all["amount_refunded"], "100.00");
    let last = &all["refunds"][2];
    assert_eq!(
        (&last["amount"], &last["status"], &last["restock"]),
        (&json!("0.00"), &json!("succeeded"), &json!(true))
    );
    assert_eq!(on_hand(&service, product).await, 10);
    let more = admin
        .do_to(&order, "refund", &items(product, 1, true))
        .await;
    assert_eq!(
        more.refused(409, "creditable_quantity_exceeded")["creditable"],
        0
    );
    books_balance(&service).await;
    // The provider gets requests for two refunds, and none for the refund of 0.00.
    until("the refunds are made", async || {
        let refunds = admin.order(&order).await["refunds"].clone();
        let mut refunds = refunds.as_array().unwrap().iter();
        refunds.all(|refund| refund["status"] == "succeeded")
    })
    .await;
    let asked = "SELECT count(*) FROM refunds WHERE provider_id IS NOT NULL";
    assert_eq!(service.database.value(asked).await, "2");
    // A cancellation restocks nothing more.
    admin.do_to(&order, "cancel", &json!({})).await.ok(200);
    assert_eq!(on_hand(&service, product).await, 10);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn goods_that_were_free_or_were_refunded_and_kept_come_back_for_nothing() {
    let (service, product, order) = paid().await;
    let admin = service.admin();
    let gift = admin.add_product("GIFT", "0.00", 3).await;
    let mixed = service
        .customer()
        .order_by_card(&[(product, 1), (gift, 3)])
        .await;
    service.pay(&mixed).await.ok(200);
    let refused = admin.do_to(&mixed, "refund", &items(gift, 1, false)).await;
    refused.refused(409, "nothing_to_refund");
    admin
        .do_to(&mixed, "refund", &items(gift, 3, true))
        .await
        .ok(200);
    assert_eq!(on_hand(&service, gift).await, 3);
    // Units are refunded before they come back; some come back after the order was cancelled.
    admin
        .do_to(&order, "refund", &items(product, 3, false))
        .await
        .ok(200);
    let initial = on_hand(&service, product).await.as_i64().unwrap();
    admin.do_to(&order, "cancel", &json!({})).await.ok(200);
    assert_eq!(on_hand(&service, product).await, initial + 2);
    let late = admin
        .do_to(&order, "refund", &items(product, 3, true))
        .await
        .ok(200);
    assert_eq!(late["amount_refunded"], "100.00");
    assert_eq!(on_hand(&service, product).await, initial + 5);
    let more = admin
        .do_to(&order, "refund", &items(product, 1, true))
        .await;
    assert_eq!(
        more.refused(409, "creditable_quantity_exceeded")["creditable"],
        0
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn goods_that_never_left_stock_are_not_restocked() {
    let (service, product, _) = paid().await;
    let (admin, initial) = (service.admin(), on_hand(&service, product).await);
    // The payment arrives after the order has expired and its units were sold. It is refunded, and nothing was sold.
    let late = service.customer().order_by_card(&[(product, 5)]).await;
    service.database.let_time_pass(&late).await;
    admin.buy(&[(product, 5)]).await.ok(201);
    service.pay(&late).await.ok(200);
    assert_eq!(admin.order(&late).await["status"], "cancelled");
    let refused = admin.do_to(&late, "refund", &items(product, 1, true)).await;
    assert_eq!(
        refused.refused(409, "creditable_quantity_exceeded")["creditable"],
        0
    );
    assert_eq!(initial, 5);
    assert_eq!(on_hand(&service, product).await, 0);
    books_balance(&service).await;
}
