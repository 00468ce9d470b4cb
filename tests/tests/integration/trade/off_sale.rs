//! These tests check a product that is taken off sale: it can no longer be held, waited for or sold, except for units
//! that are held already.

use domain::demo::{ACME, ACME_CUSTOMER};
use entity::{CustomerId, ProductId};
use serde_json::{Value, json};
use tests::{Client, Reply, Service, books_balance, until};

async fn reserve(
    client: &Client,
    customer: CustomerId,
    product: ProductId,
    quantity: i64,
) -> Reply {
    let body = json!({
        "customer_id": customer, "items": [{"product_id": product, "quantity": quantity}],
        "wait": true, "ttl_seconds": 600,
    });
    client.post("/api/reservations", &body).await
}

async fn take_off_sale(service: &Service, product: ProductId) -> Value {
    let path = format!("/api/products/{product}");
    let body = json!({"active": false});
    service.admin().patch(&path, &body).await.ok(200)
}

fn path(reservation: &Value) -> String {
    let id = reservation["reservation_id"].as_str().unwrap();
    format!("/api/reservations/{id}")
}

#[tokio::test(flavor = "multi_thread")]
async fn waitlist_positions_are_cancelled_when_their_product_goes_off_sale() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let waiter = admin.add_customer("Waiter", "100.00").await;
    let product = admin.add_product("OFF", "1.00", 5).await;
    let held = reserve(&staff, ACME_CUSTOMER, product, 4).await.ok(201);
    let waits = reserve(&staff, waiter, product, 3).await.ok(202);
    let behind = reserve(&staff, waiter, product, 1).await.ok(202);
    assert_eq!(waits["cancel_reason"], json!(null));
    let shown = take_off_sale(&service, product).await;
    let why = json!({"reason": "inactive", "opens_at": null, "closes_at": null});
    assert_eq!(shown["not_for_sale"], why);
    for ended in [&waits, &behind] {
        let seen = staff.get(&path(ended)).await.ok(200);
        assert_eq!(seen["status"], "cancelled");
        assert_eq!(seen["cancel_reason"], "product_inactive");
        assert_eq!(seen["place"], json!(null));
    }
    // Released units go to no one on the old waitlist, even when the product is on sale again.
    let cancelled = staff
        .post(&format!("{}/cancel", path(&held)), &json!({}))
        .await;
    assert_eq!(cancelled.ok(200)["cancel_reason"], "requested");
    let on = json!({"active": true});
    let shown = admin
        .patch(&format!("/api/products/{product}"), &on)
        .await
        .ok(200);
    assert_eq!(
        (&shown["available"], &shown["not_for_sale"]),
        (&json!(5), &json!(null))
    );
    books_balance(&service).await;
    let trail = format!(
        "SELECT count(*) FROM audit_events WHERE business_id = '{ACME}' AND action = 'reservation.cancelled'
            AND actor_role = 'system' AND after->>'cancel_reason' = 'product_inactive'"
    );
    assert_eq!(service.database.value(&trail).await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn units_held_before_are_bought_on_credit_by_card_and_by_a_purchase_and_no_others() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let product = admin.add_product("OFF", "1.00", 20).await;
    let mut holds = Vec::new();
    for _ in 0..4 {
        holds.push(reserve(&staff, ACME_CUSTOMER, product, 2).await.ok(201));
    }
    take_off_sale(&service, product).await;
    let order = staff.buy(&[(product, 1)]).await.ok(201);
    assert_eq!(order["total_amount"], "1.00");
    let _ = staff.checkout(&[(product, 1)]).await.ok(201);
    for (hold, method) in holds[1..].iter().zip(["credit", "card"]) {
        let confirm = format!("{}/confirm", path(hold));
        let body = json!({"payment_method": method});
        staff.post(&confirm, &body).await.ok(201);
    }
    // Two units are still held.
    for refused in [
        staff.buy(&[(product, 3)]).await,
        staff.checkout(&[(product, 3)]).await,
        reserve(&staff, ACME_CUSTOMER, product, 1).await,
    ] {
        let _ = refused.refused(404, "product_not_found");
    }
    staff.buy(&[(product, 2)]).await.ok(201);
    staff
        .buy(&[(product, 1)])
        .await
        .refused(404, "product_not_found");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_taken_while_the_product_goes_off_sale_is_cancelled_without_a_request() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let product = admin.add_product("OFF", "1.00", 5).await;
    reserve(&staff, ACME_CUSTOMER, product, 5).await.ok(201);
    let waits = reserve(&staff, ACME_CUSTOMER, product, 1).await.ok(202);
    // Simulates a reservation that was decided with the catalogue of a moment before.
    let off = format!("UPDATE products SET active = false WHERE id = '{product}'");
    service.database.execute(&off).await;
    until("the sweeper removes the place", async || {
        staff.get(&path(&waits)).await.ok(200)["status"] == "cancelled"
    })
    .await;
    let seen = staff.get(&path(&waits)).await.ok(200);
    assert_eq!(seen["cancel_reason"], "product_inactive");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_payment_cannot_hold_new_stock_of_an_off_sale_product() {
    let service = Service::start().await;
    let admin = service.admin();
    let product = admin.add_product("OFF", "1.00", 5).await;
    let order = admin.order_by_card(&[(product, 1)]).await;
    // The hold has expired, but the order can still be paid.
    let past = "expires_at = now() - interval '1 second' WHERE";
    let hold = format!("SELECT reservation_id FROM payment_intents WHERE order_id = '{order}'");
    let sql = format!(
        "UPDATE reservation_items SET {past} reservation_id IN ({hold});
         UPDATE reservations SET {past} id IN ({hold})"
    );
    service.database.execute(&sql).await;
    take_off_sale(&service, product).await;
    let _ = service.pay(&order).await.ok(200);
    let seen = admin.order(&order).await;
    assert_eq!(
        (&seen["status"], &seen["cancel_reason"]),
        (&json!("cancelled"), &json!("stock_gone"))
    );
    books_balance(&service).await;
}
