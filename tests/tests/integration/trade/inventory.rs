//! These tests check stock: every change of `on_hand` is recorded as a movement, and the movements add up to it.

use domain::demo::{ACME, ACME_HEADPHONES, ACME_KEYBOARD};
use entity::ProductId;
use entity::inventory::MAX_ON_HAND;
use serde_json::{Value, json};
use tests::{Reply, Service, books_balance, member};

async fn correct(service: &Service, product: ProductId, body: Value) -> Reply {
    service
        .staff()
        .patch(&format!("/api/inventory/{product}"), &body)
        .await
}

async fn movements(service: &Service, product: ProductId, limit: usize) -> Vec<Value> {
    let path = format!("/api/inventory/{product}/movements");
    service.staff().pages(&path, limit).await
}

async fn on_hand(service: &Service, product: ProductId) -> i64 {
    let stock = service
        .staff()
        .get(&format!("/api/inventory/{product}"))
        .await
        .ok(200);
    stock["on_hand"].as_i64().unwrap()
}

/// Asserts that the newest movement ends at `on_hand`, that each starts where the one before ended, and that the first
/// starts at zero.
fn assert_chain(movements: &[Value], on_hand: i64) {
    let number = |row: &Value, name: &str| row[name].as_i64().unwrap();
    let mut expected = on_hand;
    for row in movements {
        assert_eq!(
            number(row, "on_hand_after"),
            expected,
            "{row} in {movements:#?}"
        );
        expected -= number(row, "quantity");
    }
    assert_eq!(expected, 0, "the first movement starts from 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn adjust_adds_or_takes_and_set_says_what_was_counted() {
    let service = Service::start().await;
    for (body, after, quantity) in [
        (json!({"adjust": 5, "reason": "received"}), 1005, 5),
        (
            json!({"adjust": -8, "reason": "damaged", "note": "Fell off the truck"}),
            997,
            -8,
        ),
        (json!({"set": 40, "reason": "stocktake"}), 40, -957),
        (json!({"set": 41, "reason": "found"}), 41, 1),
        (json!({"set": 41, "reason": "stocktake"}), 41, 0),
        (json!({"adjust": -41, "reason": "lost"}), 0, -41),
        (
            json!({"adjust": 3, "reason": "returned", "note": null, "set": null}),
            3,
            3,
        ),
        (
            json!({"adjust": 1_000_000, "reason": "correction"}),
            1_000_003,
            1_000_000,
        ),
    ] {
        let stock = correct(&service, ACME_HEADPHONES, body.clone())
            .await
            .ok(200);
        assert_eq!(stock["product_id"], json!(ACME_HEADPHONES));
        assert_eq!(stock["on_hand"], after, "{body}");
        assert_eq!(stock["available"], after, "{body}");
        assert_eq!(stock["reserved"], 0);
        let newest = &movements(&service, ACME_HEADPHONES, 200).await[0];
        assert_eq!(newest["quantity"], quantity, "{body}");
        assert_eq!(newest["on_hand_after"], after, "{body}");
        assert_eq!(newest["reason"], body["reason"]);
        assert_eq!(newest["note"], body["note"]);
        assert_eq!(newest["order_id"], Value::Null);
    }
    assert_chain(&movements(&service, ACME_HEADPHONES, 200).await, 1_000_003);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_says_one_thing_and_why() {
    let service = Service::start().await;
    let before = service.database.digest().await;
    for (body, pointer) in [
        (json!({"reason": "found"}), ""),
        (json!({"adjust": 1, "set": 1, "reason": "found"}), ""),
        (json!({"adjust": null, "set": null, "reason": "found"}), ""),
        (json!({"adjust": 0, "reason": "found"}), "/adjust"),
        (
            json!({"adjust": MAX_ON_HAND + 1, "reason": "found"}),
            "/adjust",
        ),
        (
            json!({"adjust": -MAX_ON_HAND - 1, "reason": "found"}),
            "/adjust",
        ),
        (json!({"adjust": 1.5, "reason": "found"}), "/adjust"),
        (json!({"set": -1, "reason": "found"}), "/set"),
        (json!({"set": MAX_ON_HAND + 1, "reason": "found"}), "/set"),
        (json!({"set": "1", "reason": "found"}), "/set"),
        (json!({"set": 1}), "/reason"),
        (json!({"set": 1, "reason": "sold"}), "/reason"),
        (json!({"set": 1, "reason": "because"}), "/reason"),
        (json!({"set": 1, "reason": "found", "note": ""}), "/note"),
        (
            json!({"set": 1, "reason": "found", "note": "x".repeat(501)}),
            "/note",
        ),
    ] {
        let reply = correct(&service, ACME_HEADPHONES, body.clone()).await;
        assert_eq!(reply.status, 422, "{body}: {}", reply.text);
        let problem = reply.refused(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
        assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{body}");
    }
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_is_bounded_by_what_may_be_on_hand_and_not_by_what_one_may_order() {
    let service = Service::start().await;
    // A stocktake confirms a delivery of 5,000,000 units.
    for body in [
        json!({"adjust": 5_000_000, "reason": "received"}),
        json!({"set": 5_001_000, "reason": "stocktake"}),
        json!({"set": MAX_ON_HAND, "reason": "stocktake"}),
    ] {
        correct(&service, ACME_HEADPHONES, body).await.ok(200);
    }
    let before = service.database.digest().await;
    let one_more = json!({"adjust": 1, "reason": "found"});
    let refused = correct(&service, ACME_HEADPHONES, one_more)
        .await
        .refused(409, "stock_limit_exceeded");
    let line = json!({"product_id": ACME_HEADPHONES, "quantity": 1, "reason": "received"});
    let delivery = json!({ "lines": [line] });
    let path = "/api/inventory/movements";
    let delivered = service.staff().post(path, &delivery).await;
    for body in [refused, delivered.refused(409, "stock_limit_exceeded")] {
        assert_eq!(
            (&body["product_id"], &body["on_hand"], &body["limit"]),
            (
                &json!(ACME_HEADPHONES),
                &json!(MAX_ON_HAND + 1),
                &json!(MAX_ON_HAND)
            )
        );
    }
    assert_eq!(service.database.digest().await, before);
    // A delivery and an initial stock may be as large as the maximum.
    let product = service
        .admin()
        .add_product("BULK", "0.01", MAX_ON_HAND)
        .await;
    let stock = json!({"adjust": -MAX_ON_HAND, "reason": "lost"});
    assert_eq!(
        correct(&service, product, stock).await.ok(200)["on_hand"],
        0
    );
    let line = json!({"product_id": product, "quantity": MAX_ON_HAND, "reason": "received"});
    let delivery = json!({ "lines": [line] });
    service.staff().post(path, &delivery).await.ok(201);
    let few = format!("/api/inventory?below={MAX_ON_HAND}");
    service.staff().get(&few).await.ok(200);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_leaves_than_is_there() {
    let service = Service::start().await;
    let before = service.database.digest().await;
    let reply = correct(
        &service,
        ACME_HEADPHONES,
        json!({"adjust": -1001, "reason": "lost"}),
    )
    .await;
    let body = reply.refused(409, "insufficient_stock");
    assert_eq!(
        body["shortages"],
        json!([{"product_id": ACME_HEADPHONES, "requested": 1001, "available": 1000}])
    );
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_units_stay_on_hand() {
    let service = Service::start().await;
    let sql = format!("UPDATE inventory SET reserved = 990 WHERE product_id = '{ACME_HEADPHONES}'");
    service.database.execute(&sql).await;
    let stock = service
        .staff()
        .get(&format!("/api/inventory/{ACME_HEADPHONES}"))
        .await
        .ok(200);
    assert_eq!(
        (&stock["on_hand"], &stock["available"]),
        (&json!(1000), &json!(10))
    );
    let before = service.database.digest().await;
    let reply = correct(
        &service,
        ACME_HEADPHONES,
        json!({"adjust": -11, "reason": "lost"}),
    )
    .await;
    let body = reply.refused(409, "insufficient_stock");
    assert_eq!(body["shortages"][0]["available"], 10);
    assert_eq!(body["shortages"][0]["requested"], 11);
    let reply = correct(
        &service,
        ACME_HEADPHONES,
        json!({"set": 989, "reason": "stocktake"}),
    )
    .await;
    let _ = reply.refused(409, "counted_below_reserved");
    let rich = service.admin().add_customer("Rich", "99999.00").await;
    let refused = service
        .staff()
        .buy_for(rich, &[(ACME_HEADPHONES, 11)])
        .await;
    let _ = refused.refused(409, "insufficient_stock");
    service
        .database
        .execute("DELETE FROM audit_events WHERE after ->> 'name' = 'Rich'")
        .await;
    service
        .database
        .execute(
            "DELETE FROM search_terms WHERE entity_id IN (SELECT id FROM customers WHERE name = 'Rich');
             DELETE FROM customers WHERE name = 'Rich'",
        )
        .await;
    assert_eq!(service.database.digest().await, before);

    let counted = correct(
        &service,
        ACME_HEADPHONES,
        json!({"set": 990, "reason": "stocktake"}),
    )
    .await;
    let stock = counted.ok(200);
    assert_eq!(
        (&stock["on_hand"], &stock["reserved"], &stock["available"]),
        (&json!(990), &json!(990), &json!(0))
    );
    let found = correct(
        &service,
        ACME_HEADPHONES,
        json!({"adjust": 4, "reason": "found"}),
    )
    .await;
    assert_eq!(found.ok(200)["available"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_never_grows_past_what_can_be_counted() {
    let service = Service::start().await;
    // Manual SQL sets a value above the maximum: the largest that the column can hold.
    let sql = format!(
        "UPDATE inventory SET on_hand = {} WHERE product_id = '{ACME_HEADPHONES}'",
        i64::MAX
    );
    service.database.execute(&sql).await;
    let before = service.database.digest().await;
    let reply = correct(
        &service,
        ACME_HEADPHONES,
        json!({"adjust": 1, "reason": "found"}),
    )
    .await;
    let _ = reply.refused(409, "stock_limit_exceeded");
    assert_eq!(service.database.digest().await, before);
    // From there the stock can only decrease.
    let stock = correct(
        &service,
        ACME_HEADPHONES,
        json!({"adjust": -1, "reason": "lost"}),
    )
    .await;
    assert_eq!(stock.ok(200)["on_hand"], i64::MAX - 1);
    let stock = correct(
        &service,
        ACME_HEADPHONES,
        json!({"set": 0, "reason": "stocktake"}),
    )
    .await;
    assert_eq!(stock.ok(200)["on_hand"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_is_in_the_trail_with_before_and_after_and_its_reason() {
    let service = Service::start().await;
    let body = json!({"adjust": -3, "reason": "damaged", "note": "wet"});
    let _ = correct(&service, ACME_HEADPHONES, body).await.ok(200);
    let sql = format!(
        "SELECT action, actor_role, before, after FROM audit_events
          WHERE business_id = '{ACME}' AND entity_type = 'inventory' AND entity_id = '{ACME_HEADPHONES}'"
    );
    assert_eq!(
        service.database.rows(&sql).await,
        [
            json!({"action": "inventory.corrected", "actor_role": "staff", "before": {"on_hand": 1000},
                "after": {"on_hand": 997, "reason": "damaged", "note": "wet"}})
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn movements_are_the_newest_first_with_sales_and_corrections_in_one_exact_chain() {
    let service = Service::start().await;
    let staff = service.staff();
    let product = service.admin().add_product("CHAIN", "1.00", 50).await;
    let mut orders = Vec::new();
    for number in 0..12_i64 {
        if number % 3 == 0 {
            let body = json!({"adjust": 10 + number, "reason": "received"});
            let _ = correct(&service, product, body).await.ok(200);
        } else if number % 3 == 1 {
            let receipt = staff
                .buy(&[(product, number), (product, 1), (ACME_KEYBOARD, 1)])
                .await;
            orders.push(receipt.ok(201)["order_id"].as_str().unwrap().to_owned());
        } else {
            let body = json!({"set": 30 + number, "reason": "stocktake"});
            let _ = correct(&service, product, body).await.ok(200);
        }
    }
    let all = movements(&service, product, 200).await;
    assert_eq!(all.len(), 13);
    assert_chain(&all, on_hand(&service, product).await);
    let sold: Vec<&Value> = all.iter().filter(|row| row["reason"] == "sold").collect();
    let named: Vec<&str> = sold
        .iter()
        .map(|row| row["order_id"].as_str().unwrap())
        .rev()
        .collect();
    assert_eq!(named, orders);
    assert_eq!(
        sold[0]["quantity"], -11,
        "two lines of one order are one movement"
    );
    assert_eq!(sold[0]["id"], sold[0]["order_id"]);
    let times = member(&all, "created_at");
    assert!(
        times.is_sorted_by(|newer, older| newer >= older),
        "{times:?}"
    );
    for limit in [1, 2, 5, 12, 13, 14] {
        assert_eq!(
            movements(&service, product, limit).await,
            all,
            "pages of {limit}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_is_exact_when_everyone_moves_one_product_at_once() {
    let service = Service::start().await;
    let admin = service.admin();
    let rich = admin.add_customer("Rich", "99999.00").await;
    let product = admin.add_product("RUSH", "1.00", 500).await;
    let work = (0..60).map(|number| {
        let staff = service.staff();
        tokio::spawn(async move {
            if number % 4 == 0 {
                let by = if number % 8 == 0 { 5 } else { -2 };
                let body = json!({"adjust": by, "reason": "correction"});
                let path = format!("/api/inventory/{product}");
                let _ = staff.patch(&path, &body).await.ok(200);
            } else {
                let _ = staff
                    .buy_for(rich, &[(product, 1 + number % 3)])
                    .await
                    .ok(201);
            }
        })
    });
    for one in work.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    let all = movements(&service, product, 7).await;
    assert_eq!(all.len(), 61);
    assert_chain(&all, on_hand(&service, product).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_datas_movements_add_up_as_well() {
    let service = Service::start().await;
    for stock in service.staff().pages("/api/inventory", 200).await {
        let product = stock["product_id"].as_str().unwrap().parse().unwrap();
        let all = movements(&service, product, 200).await;
        assert!(!all.is_empty());
        assert_chain(&all, stock["on_hand"].as_i64().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_every_size_hold_every_products_stock_once() {
    let service = Service::start().await;
    let staff = service.staff();
    let whole = staff.pages("/api/inventory", 200).await;
    assert_eq!(whole.len(), 17);
    for limit in [1, 5, 16, 17, 18] {
        assert_eq!(
            staff.pages("/api/inventory", limit).await,
            whole,
            "pages of {limit}"
        );
    }
    let mut read = Vec::new();
    let mut cursor = None;
    loop {
        let (page, next) = staff.page("/api/inventory", 3, cursor.as_deref()).await;
        read.extend(member(&page, "product_id"));
        if read.len() < whole.len() {
            let _ = service
                .admin()
                .add_product(&format!("M-{}", read.len()), "1", 1)
                .await;
        }
        match next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    let there = member(&whole, "product_id");
    let kept: Vec<&String> = read.iter().filter(|id| there.contains(id)).collect();
    assert_eq!(kept, there.iter().collect::<Vec<_>>());
    read.sort_unstable();
    let count = read.len();
    read.dedup();
    assert_eq!(read.len(), count, "a product was listed twice");
    for stock in &whole {
        let number = |name: &str| stock[name].as_i64().unwrap();
        assert_eq!(number("available"), number("on_hand") - number("reserved"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_is_not_on_sale_is_still_counted() {
    let service = Service::start().await;
    let admin = service.admin();
    let product = admin.add_product("OFF", "1", 5).await;
    let _ = admin
        .patch(
            &format!("/api/products/{product}"),
            &json!({"active": false}),
        )
        .await
        .ok(200);
    let body = json!({"adjust": 2, "reason": "found"});
    assert_eq!(correct(&service, product, body).await.ok(200)["on_hand"], 7);
}
