//! These tests check documents that reduce a customer's debt, and their reversal: credit notes, write-offs and
//! cancellations.

use domain::demo::{ACME_CUSTOMER, GLOBEX_CUSTOMER, GLOBEX_DESK};
use entity::ProductId;
use serde_json::{Value, json};
use tests::{Client, Reply, Service, all, books_balance, member};

use crate::money::payments::{due, figures, order, pay, reverse, shop};

async fn credit(client: &Client, order: &str, body: Value) -> Reply {
    let path = format!("/api/orders/{order}/credit-notes");
    client.post(&path, &body).await
}

async fn write_off(client: &Client, order: &str, body: Value) -> Reply {
    client
        .post(&format!("/api/orders/{order}/write-offs"), &body)
        .await
}

async fn cancel(client: &Client, order: &str) -> Reply {
    client
        .post(&format!("/api/orders/{order}/cancel"), &json!({}))
        .await
}

async fn on_hand(client: &Client, product: ProductId) -> i64 {
    let stock = client.get(&format!("/api/inventory/{product}")).await;
    stock.ok(200)["on_hand"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credit_note_settles_its_order_as_far_as_it_owes_and_the_rest_is_on_account() {
    let (service, admin, customer, unit) = shop().await;
    let id = order(&admin, customer, unit, 100).await;
    pay(&admin, customer, "80.00", json!({})).await.ok(201);
    let reply = credit(
        &admin,
        &id,
        json!({"amount": "30.00", "reason": "arrived late"}),
    )
    .await;
    let note = reply.ok(201);
    for (name, value) in [
        ("order_id", json!(id)),
        ("amount", json!("30.00")),
        ("items", json!([])),
        ("reason", json!("arrived late")),
        ("restock", json!(false)),
        ("allocated", json!("20.00")),
        ("unallocated", json!("10.00")),
        ("customer_balance", json!("-10.00")),
        ("credit_on_account", json!("10.00")),
    ] {
        assert_eq!(note[name], value, "{name}");
    }
    let read = service.staff().get(reply.header("location")).await.ok(200);
    for (name, value) in read.as_object().unwrap() {
        assert_eq!(*value, note[name], "{name}");
    }
    let settled = admin.get(&format!("/api/orders/{id}")).await.ok(200);
    assert_eq!(settled["amount_credited"], "20.00");
    // All credit notes together cannot exceed the order's total.
    let body = credit(&admin, &id, json!({"amount": "70.01", "reason": "x"}))
        .await
        .refused(409, "creditable_amount_exceeded");
    assert_eq!(body["creditable"], "70.00");
    credit(&admin, &id, json!({"amount": "70.00", "reason": "x"}))
        .await
        .ok(201);
    assert_eq!(
        figures(&admin, customer).await,
        ["-80.00", "1080.00", "80.00"]
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credit_note_by_items_is_of_the_price_then_and_never_of_more_than_was_sold() {
    let (service, admin, customer, unit) = shop().await;
    let id = order(&admin, customer, unit, 10).await;
    admin
        .patch(&format!("/api/products/{unit}"), &json!({"price": "9.00"}))
        .await
        .ok(200);
    let items = |quantity: i64| json!([{"product_id": unit, "quantity": quantity}]);
    let initial = on_hand(&admin, unit).await;
    let body = json!({"items": items(3), "reason": "broken"});
    let broken = credit(&admin, &id, body).await.ok(201);
    assert_eq!(
        (&broken["amount"], &broken["items"]),
        (&json!("3.00"), &items(3))
    );
    assert_eq!(
        on_hand(&admin, unit).await,
        initial,
        "broken goods are not restocked"
    );
    let body = json!({"items": [items(1)[0], items(4)[0]], "restock": true, "reason": "unwanted"});
    let unwanted = credit(&admin, &id, body).await;
    assert_eq!(
        (&unwanted.ok(201)["amount"], &unwanted.json()["items"]),
        (&json!("5.00"), &items(5))
    );
    assert_eq!(on_hand(&admin, unit).await, initial + 5);
    let moved = admin
        .pages(&format!("/api/inventory/{unit}/movements"), 50)
        .await;
    assert_eq!(
        (&moved[0]["reason"], &moved[0]["order_id"]),
        (&json!("returned"), &json!(id))
    );
    assert_eq!(
        (&moved[0]["quantity"], &moved[0]["on_hand_after"]),
        (&json!(5), &json!(initial + 5))
    );

    let body = json!({"items": items(3), "reason": "x"});
    let refused = credit(&admin, &id, body)
        .await
        .refused(409, "creditable_quantity_exceeded");
    assert_eq!(
        (&refused["requested"], &refused["creditable"]),
        (&json!(3), &json!(2))
    );
    let other = json!({"items": [{"product_id": GLOBEX_DESK, "quantity": 1}], "reason": "x"});
    let _ = credit(&admin, &id, other)
        .await
        .refused(409, "creditable_quantity_exceeded");

    // A reversal of a restock decrements the stock, and is rejected if too little is on hand.
    admin
        .patch(
            &format!("/api/inventory/{unit}"),
            &json!({"set": 4, "reason": "stocktake"}),
        )
        .await
        .ok(200);
    let refused = reverse(&admin, &unwanted)
        .await
        .refused(409, "insufficient_stock");
    assert_eq!(
        refused["shortages"],
        json!([{"product_id": unit, "requested": 5, "available": 4}])
    );
    admin
        .patch(
            &format!("/api/inventory/{unit}"),
            &json!({"set": 6, "reason": "stocktake"}),
        )
        .await
        .ok(200);
    let undone = reverse(&admin, &unwanted).await.ok(201);
    assert_eq!(undone["reversal_reason"], "bounced");
    assert_eq!(on_hand(&admin, unit).await, 1);
    assert_eq!(due(&admin, &id).await, "7.00");
    let _ = reverse(&admin, &unwanted)
        .await
        .refused(409, "already_reversed");
    let seven = json!({"items": items(7), "restock": true, "reason": "all of it"});
    credit(&admin, &id, seven).await.ok(201);
    assert_eq!(due(&admin, &id).await, "0.00");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reversed_credit_note_leaves_the_other_order_that_it_settled() {
    let (service, admin, customer, unit) = shop().await;
    let one = order(&admin, customer, unit, 50).await;
    pay(&admin, customer, "50.00", json!({})).await.ok(201);
    let note = credit(&admin, &one, json!({"amount": "20.00", "reason": "late"})).await;
    let two = order(&admin, customer, unit, 30).await;
    assert_eq!(due(&admin, &two).await, "10.00");
    let bought = admin.get(&format!("/api/orders/{two}")).await.ok(200);
    assert_eq!(
        (&bought["amount_credited"], &bought["amount_paid"]),
        (&json!("20.00"), &json!("0.00"))
    );
    reverse(&admin, &note).await.ok(201);
    assert_eq!(
        (due(&admin, &one).await, due(&admin, &two).await),
        ("0.00".into(), "30.00".into())
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_off_settles_the_amount_due_and_can_be_reversed_once() {
    let (service, admin, customer, unit) = shop().await;
    let id = order(&admin, customer, unit, 100).await;
    pay(&admin, customer, "60.00", json!({})).await.ok(201);
    let body = write_off(&admin, &id, json!({"amount": "40.01", "reason": "lost"}))
        .await
        .refused(409, "overpayment");
    assert_eq!(
        (&body["amount_due"], &body["order_id"]),
        (&json!("40.00"), &json!(id))
    );
    let part = write_off(&admin, &id, json!({"amount": "15.00", "reason": "lost"})).await;
    assert_eq!(part.ok(201)["customer_balance"], "25.00");
    let rest = write_off(&admin, &id, json!({"reason": "bankrupt"})).await;
    assert_eq!(rest.ok(201)["amount"], "25.00");
    assert_eq!(figures(&admin, customer).await, ["0.00", "1000.00", "0.00"]);
    let _ = write_off(&admin, &id, json!({"reason": "again"}))
        .await
        .refused(409, "overpayment");
    let _ = write_off(&admin, &id, json!({"amount": "1.00"}))
        .await
        .refused(422, "validation_failed");
    let read = service.staff().get(rest.header("location")).await.ok(200);
    assert_eq!(
        (&read["reason"], &read["reversed_at"]),
        (&json!("bankrupt"), &json!(null))
    );
    let undone = reverse(&admin, &rest).await.ok(201);
    assert_eq!(undone["customer_balance"], "25.00");
    let _ = reverse(&admin, &rest)
        .await
        .refused(409, "already_reversed");
    assert_eq!(due(&admin, &id).await, "25.00");
    let trail = "SELECT action FROM audit_events WHERE entity_type = 'write_off' ORDER BY id";
    let trail = service.database.rows(trail).await;
    assert_eq!(
        member(&trail, "action"),
        [
            "write_off.created",
            "write_off.created",
            "write_off.reversed"
        ]
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credited_amount_is_not_written_off_again() {
    let (service, admin, customer, unit) = shop().await;
    let id = order(&admin, customer, unit, 100).await;
    let paid = pay(&admin, customer, "100.00", json!({})).await;
    // The note goes on account because nothing is due. Then the payment is reversed.
    credit(&admin, &id, json!({"amount": "100.00", "reason": "late"}))
        .await
        .ok(201);
    reverse(&admin, &paid).await.ok(201);
    assert_eq!(due(&admin, &id).await, "100.00");
    let body = write_off(&admin, &id, json!({"reason": "lost"}))
        .await
        .refused(409, "creditable_amount_exceeded");
    assert_eq!(body["creditable"], "0.00");
    let path = format!("/api/customers/{customer}/allocations");
    admin.post(&path, &json!({})).await.ok(200);
    assert_eq!(due(&admin, &id).await, "0.00");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_order_gives_back_stock_and_what_was_paid() {
    let (service, admin, customer, unit) = shop().await;
    let initial = on_hand(&admin, unit).await;
    let id = order(&admin, customer, unit, 100).await;
    let paid = pay(&admin, customer, "60.00", json!({})).await;
    let items = json!([{"product_id": unit, "quantity": 10}]);
    let note = credit(&admin, &id, json!({"items": items, "reason": "broken"})).await;
    note.ok(201);
    let staff = service.staff();
    let cancelled = cancel(&staff, &id).await.ok(200);
    for (name, value) in [
        ("status", "cancelled"),
        ("amount_due", "0.00"),
        ("amount_paid", "0.00"),
        ("amount_credited", "100.00"),
    ] {
        assert_eq!(cancelled[name], value, "{name}");
    }
    assert_eq!(
        staff.get(&format!("/api/orders/{id}")).await.ok(200),
        cancelled
    );
    assert_eq!(
        on_hand(&admin, unit).await,
        initial - 10,
        "all but the broken units"
    );
    assert_eq!(
        figures(&admin, customer).await,
        ["-60.00", "1060.00", "60.00"]
    );
    let body = cancel(&staff, &id).await.refused(409, "invalid_transition");
    assert_eq!(
        (&body["from"], &body["to"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    // A cancelled order is final: it can neither be credited nor restored. Its payment can still be reversed.
    let _ = credit(&admin, &id, json!({"amount": "1.00", "reason": "x"}))
        .await
        .refused(409, "order_cancelled");
    let _ = write_off(&admin, &id, json!({"reason": "x"}))
        .await
        .refused(409, "overpayment");
    let _ = reverse(&admin, &note).await.refused(409, "order_cancelled");
    reverse(&admin, &paid).await.ok(201);
    assert_eq!(figures(&admin, customer).await, ["0.00", "1000.00", "0.00"]);
    assert_eq!(due(&admin, &id).await, "0.00");
    let event = format!(
        "SELECT before, after FROM audit_events WHERE entity_id = '{id}' AND action = 'order.cancelled'"
    );
    let event = service.database.row(&event).await;
    assert_eq!(
        (&event["before"]["status"], &event["after"]["status"]),
        (&json!("approved"), &json!("cancelled"))
    );
    assert_eq!(event["before"]["amount_paid"], "60.00");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_returns_the_orders_own_credits_to_it() {
    let (service, admin, customer, unit) = shop().await;
    let one = order(&admin, customer, unit, 100).await;
    let paid = pay(&admin, customer, "100.00", json!({})).await;
    let note = credit(&admin, &one, json!({"amount": "30.00", "reason": "late"})).await;
    note.ok(201);
    let two = order(&admin, customer, unit, 40).await;
    assert_eq!(
        due(&admin, &two).await,
        "10.00",
        "the note has settled a part of it"
    );
    cancel(&admin, &one).await.ok(200);
    // The payment of the cancelled order is free, and replaces the note as the settlement of the second order.
    assert_eq!(due(&admin, &two).await, "10.00");
    let bought = admin.get(&format!("/api/orders/{two}")).await.ok(200);
    assert_eq!(bought["amount_paid"], "30.00");
    assert_eq!(
        figures(&admin, customer).await,
        ["-60.00", "1060.00", "70.00"]
    );
    // After the reversal the customer owes the second order and nothing for the cancelled one.
    reverse(&admin, &paid).await.ok(201);
    assert_eq!(
        (due(&admin, &one).await, due(&admin, &two).await),
        ("0.00".into(), "40.00".into())
    );
    assert_eq!(figures(&admin, customer).await[0], "40.00");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_cancels_its_own_order_while_nothing_of_it_is_paid() {
    let (service, admin, customer, unit) = shop().await;
    let me = service.customer();
    let mine = order(&admin, ACME_CUSTOMER, unit, 10).await;
    let partly = order(&admin, ACME_CUSTOMER, unit, 10).await;
    let theirs = order(&admin, customer, unit, 10).await;
    pay(&admin, ACME_CUSTOMER, "1.00", json!({"order_id": partly}))
        .await
        .ok(201);
    let before = service.database.digest().await;
    let _ = cancel(&me, &theirs).await.refused(404, "order_not_found");
    let _ = cancel(&me, &partly).await.refused(409, "already_paid");
    assert_eq!(service.database.digest().await, before);
    assert_eq!(cancel(&me, &mine).await.ok(200)["status"], "cancelled");
    cancel(&service.staff(), &partly).await.ok(200);
    admin
        .do_to(&theirs.to_string(), "fulfill", &json!({}))
        .await
        .ok(200);
    let body = cancel(&admin, &theirs)
        .await
        .refused(409, "invalid_transition");
    assert_eq!(
        (&body["from"], &body["to"]),
        (&json!("fulfilled"), &json!("cancelled"))
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_values_are_refused_with_their_pointer() {
    let (service, admin, customer, unit) = shop().await;
    let id = order(&admin, customer, unit, 10).await;
    let items = json!([{"product_id": unit, "quantity": 1}]);
    let before = service.database.digest().await;
    for (body, pointer) in [
        (json!({"reason": "x"}), ""),
        (json!({"amount": "1.00", "items": items, "reason": "x"}), ""),
        (
            json!({"amount": "1.00", "restock": true, "reason": "x"}),
            "/restock",
        ),
        (json!({"amount": "0", "reason": "x"}), "/amount"),
        (json!({"items": [], "reason": "x"}), "/items"),
        (json!({"amount": "1.00"}), "/reason"),
        (json!({"amount": "1.00", "reason": " "}), "/reason"),
    ] {
        let body = credit(&admin, &id, body)
            .await
            .refused(422, "validation_failed");
        assert_eq!(body["errors"][0]["pointer"], pointer, "{body}");
    }
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_takes_money_and_gives_none() {
    let (service, admin, customer, unit) = shop().await;
    let id = order(&admin, customer, unit, 10).await;
    let note = credit(&admin, &id, json!({"amount": "1.00", "reason": "x"})).await;
    let lost = write_off(&admin, &id, json!({"amount": "1.00", "reason": "x"})).await;
    let staff = service.staff();
    let before = service.database.digest().await;
    let body = json!({"amount": "1.00", "reason": "x"});
    let _ = credit(&staff, &id, body.clone())
        .await
        .refused(403, "forbidden");
    let _ = write_off(&staff, &id, body.clone())
        .await
        .refused(403, "forbidden");
    for made in [&note, &lost] {
        let _ = reverse(&staff, made).await.refused(403, "forbidden");
    }
    let stranger = service.stranger();
    let _ = order(&stranger, GLOBEX_CUSTOMER, GLOBEX_DESK, 1).await;
    let foreign = credit(&stranger, &id, body).await;
    let _ = foreign.refused(404, "order_not_found");
    assert_ne!(
        service.database.digest().await,
        before,
        "the stranger's own order"
    );
    assert_eq!(due(&admin, &id).await, "8.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_credit_documents_are_each_executed_once() {
    let (one, two) = Service::two().await;
    let admin = one.admin();
    let customer = admin.add_customer("Busy", "1000.00").await;
    let unit = admin.add_product("UNIT", "1.00", 1000).await;
    let id = order(&admin, customer, unit, 10).await;
    let doomed = order(&admin, customer, unit, 10).await;
    let items =
        json!({"items": [{"product_id": unit, "quantity": 3}], "restock": true, "reason": "x"});
    let replies = all((0..24).map(|number| {
        let admin = admin.at(if number % 2 == 0 { &one } else { &two });
        let (id, doomed, items) = (id.clone(), doomed.clone(), items.clone());
        async move {
            let reply = match number % 3 {
                0 => credit(&admin, &id, items).await,
                1 => cancel(&admin, &doomed).await,
                _ => admin.buy_for(customer, &[(unit, 1)]).await,
            };
            (number % 3, reply.status)
        }
    }))
    .await;
    let done = |kind| {
        replies
            .iter()
            .filter(|(of, status)| *of == kind && *status < 300)
            .count()
    };
    assert_eq!((done(0), done(1), done(2)), (3, 1, 8));
    assert_eq!(on_hand(&admin, unit).await, 1000 - 10 + 9 - 8);
    assert_eq!(figures(&admin, customer).await, ["9.00", "991.00", "0.00"]);
    books_balance(&one).await;
    assert_eq!(one.database.deadlocks().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_happen_once_and_get_the_same_answer() {
    let (service, admin, customer, unit) = shop().await;
    let id = order(&admin, customer, unit, 100).await;
    let body = json!({"amount": "10.00", "reason": "x"});
    for (key, path) in [
        ("note", format!("/api/orders/{id}/credit-notes")),
        ("off", format!("/api/orders/{id}/write-offs")),
        ("end", format!("/api/orders/{id}/cancel")),
    ] {
        let body = if key == "end" {
            json!({})
        } else {
            body.clone()
        };
        let replies = all((0..4).map(|_| {
            let (admin, path, body) = (admin.clone(), path.clone(), body.clone());
            async move { admin.post_once(key, &path, &body).await }
        }))
        .await;
        for reply in &replies {
            assert!(reply.status < 300, "{}", reply.text);
            assert_eq!(reply.text, replies[0].text);
        }
    }
    assert_eq!(figures(&admin, customer).await, ["0.00", "1000.00", "0.00"]);
    let kinds =
        format!("SELECT kind FROM ledger_entries WHERE customer_id = '{customer}' ORDER BY number");
    assert_eq!(
        service.database.column(&kinds).await,
        ["charge", "credit_note", "write_off", "reversal"]
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn goods_come_back_after_their_order_was_credited_by_amount_for_what_is_left_of_it() {
    let (service, admin, customer, unit) = shop().await;
    let id = order(&admin, customer, unit, 10).await;
    let initial = on_hand(&admin, unit).await;
    let items = |quantity: i64, restock: bool| json!({"items": [{"product_id": unit, "quantity": quantity}], "restock": restock, "reason": "unwanted"});
    credit(&admin, &id, json!({"amount": "8.00", "reason": "late"}))
        .await
        .ok(201);
    // Without a restock the note is about money only, and less than that is left to credit.
    let refused = credit(&admin, &id, items(3, false)).await;
    assert_eq!(
        refused.refused(409, "creditable_amount_exceeded")["creditable"],
        "2.00"
    );
    let half = credit(&admin, &id, items(6, true)).await.ok(201);
    assert_eq!(
        (&half["amount"], &half["customer_balance"]),
        (&json!("2.00"), &json!("0.00"))
    );
    let rest = credit(&admin, &id, items(4, true)).await;
    let note = rest.ok(201);
    for (name, value) in [
        ("amount", json!("0.00")),
        ("restock", json!(true)),
        ("items", json!([{"product_id": unit, "quantity": 4}])),
        ("allocated", json!("0.00")),
        ("unallocated", json!("0.00")),
        ("customer_balance", json!("0.00")),
    ] {
        assert_eq!(note[name], value, "{name}");
    }
    assert_eq!(on_hand(&admin, unit).await, initial + 10);
    // All units are back in stock.
    let more = credit(&admin, &id, items(1, true)).await;
    assert_eq!(
        more.refused(409, "creditable_quantity_exceeded")["creditable"],
        0
    );
    // The account and its statement have the note of nothing.
    let ledger = admin
        .pages(&format!("/api/customers/{customer}/ledger"), 50)
        .await;
    assert_eq!(
        (&ledger[0]["kind"], &ledger[0]["amount"]),
        (&json!("credit_note"), &json!("0.00"))
    );
    books_balance(&service).await;
    // Its reversal takes the units out of stock again, and they may be returned again.
    reverse(&admin, &rest).await.ok(201);
    assert_eq!(on_hand(&admin, unit).await, initial + 6);
    let _ = reverse(&admin, &rest)
        .await
        .refused(409, "already_reversed");
    credit(&admin, &id, items(4, true)).await.ok(201);
    assert_eq!(on_hand(&admin, unit).await, initial + 10);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn goods_that_were_free_come_back_too() {
    let (service, admin, customer, unit) = shop().await;
    let gift = admin.add_product("GIFT", "0.00", 5).await;
    let sold = admin
        .buy_for(customer, &[(unit, 1), (gift, 2)])
        .await
        .ok(201);
    let id = sold["order_id"].as_str().unwrap().to_owned();
    let gifts = |quantity: i64, restock: bool| json!({"items": [{"product_id": gift, "quantity": quantity}], "restock": restock, "reason": "unwanted"});
    // A note without a restock and without an amount would do nothing.
    let _ = credit(&admin, &id, gifts(1, false))
        .await
        .refused(409, "nothing_to_credit");
    let note = credit(&admin, &id, gifts(2, true)).await.ok(201);
    assert_eq!(
        (&note["amount"], &note["customer_balance"]),
        (&json!("0.00"), &json!("1.00"))
    );
    assert_eq!(on_hand(&admin, gift).await, 5);
    let more = credit(&admin, &id, gifts(1, true)).await;
    assert_eq!(
        more.refused(409, "creditable_quantity_exceeded")["creditable"],
        0
    );
    // An order that costs nothing at all.
    let free = admin.buy_for(customer, &[(gift, 5)]).await.ok(201);
    let id = free["order_id"].as_str().unwrap().to_owned();
    credit(&admin, &id, gifts(3, true)).await.ok(201);
    cancel(&admin, &id).await.ok(200);
    assert_eq!(on_hand(&admin, gift).await, 5);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn units_credited_without_restock_can_be_restocked_for_zero() {
    let (service, admin, customer, unit) = shop().await;
    let initial = on_hand(&admin, unit).await;
    let id = order(&admin, customer, unit, 10).await;
    let items = |quantity: i64, restock: bool| json!({"items": [{"product_id": unit, "quantity": quantity}], "restock": restock, "reason": "sent back"});
    credit(&admin, &id, items(10, false)).await.ok(201);
    let _ = credit(&admin, &id, items(1, false))
        .await
        .refused(409, "creditable_quantity_exceeded");
    let arrived = credit(&admin, &id, items(4, true)).await.ok(201);
    assert_eq!(arrived["amount"], "0.00");
    books_balance(&service).await;
    // A cancellation restocks nothing more: the six units were credited and have not come back.
    cancel(&admin, &id).await.ok(200);
    assert_eq!(on_hand(&admin, unit).await, initial - 6);
    // Units of a cancelled order can still be restocked, with a note of 0.00. Every other note is rejected.
    let late = credit(&admin, &id, items(5, true)).await;
    assert_eq!(late.ok(201)["amount"], "0.00");
    assert_eq!(on_hand(&admin, unit).await, initial - 1);
    let _ = credit(&admin, &id, items(2, true))
        .await
        .refused(409, "creditable_quantity_exceeded");
    let _ = credit(&admin, &id, items(1, false))
        .await
        .refused(409, "creditable_quantity_exceeded");
    // That they did can be corrected.
    reverse(&admin, &late).await.ok(201);
    assert_eq!(on_hand(&admin, unit).await, initial - 6);
    credit(&admin, &id, items(6, true)).await.ok(201);
    assert_eq!(on_hand(&admin, unit).await, initial);
    books_balance(&service).await;
}
