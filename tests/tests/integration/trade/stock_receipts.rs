//! These tests check requests with many stock movements, which are executed completely or not at all.

use domain::demo::{ACME, ACME_HEADPHONES, ACME_KEYBOARD, GLOBEX_DESK};
use entity::ProductId;
use entity::inventory::MAX_ON_HAND;
use serde_json::{Value, json};
use tests::{Reply, Service, books_balance, member, pointers, sorted};

fn line(product: ProductId, quantity: i64) -> Value {
    json!({"product_id": product, "quantity": quantity, "reason": "received"})
}

async fn receive(service: &Service, lines: &[Value]) -> Reply {
    let body = json!({ "lines": lines });
    service
        .staff()
        .post("/api/inventory/movements", &body)
        .await
}

async fn on_hand(service: &Service, product: ProductId) -> i64 {
    let path = format!("/api/inventory/{product}");
    let stock = service.staff().get(&path).await.ok(200);
    stock["on_hand"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_is_a_movement_of_its_own_in_the_order_of_the_lines() {
    let service = Service::start().await;
    let keyboards = on_hand(&service, ACME_KEYBOARD).await;
    let mut damaged = line(ACME_HEADPHONES, -3);
    damaged["reason"] = json!("damaged");
    damaged["note"] = json!("wet");
    let reply = receive(
        &service,
        &[
            line(ACME_HEADPHONES, 5),
            line(ACME_KEYBOARD, 7),
            damaged,
            line(ACME_HEADPHONES, 1),
        ],
    )
    .await;
    let made = reply.ok(201);
    let made = made["movements"].as_array().unwrap();
    assert_eq!(
        reply.header("location"),
        format!("/api/inventory/{ACME_HEADPHONES}/movements")
    );
    let expected = [
        (ACME_HEADPHONES, 5, 1005, "received", Value::Null),
        (ACME_KEYBOARD, 7, keyboards + 7, "received", Value::Null),
        (ACME_HEADPHONES, -3, 1002, "damaged", json!("wet")),
        (ACME_HEADPHONES, 1, 1003, "received", Value::Null),
    ];
    assert_eq!(made.len(), expected.len());
    for (made, (product, quantity, after, reason, note)) in made.iter().zip(expected) {
        assert_eq!(made["product_id"], json!(product));
        assert_eq!(made["quantity"], quantity);
        assert_eq!(made["on_hand_after"], after);
        assert_eq!(made["reason"], reason);
        assert_eq!(made["note"], note);
    }
    assert!(member(made, "id").is_sorted());
    assert_eq!(on_hand(&service, ACME_HEADPHONES).await, 1003);
    assert_eq!(on_hand(&service, ACME_KEYBOARD).await, keyboards + 7);
    // The response equals the list of movements, which has the newest first.
    let listed = service.staff().pages(reply.header("location"), 10).await;
    let of_headphones = [&made[3], &made[2], &made[0]].map(|made| {
        let mut made = made.clone();
        made.as_object_mut().unwrap().remove("product_id");
        made
    });
    assert_eq!(listed[..3], of_headphones);
    books_balance(&service).await;
    let sql = format!(
        "SELECT action, entity_type, before, after FROM audit_events
          WHERE business_id = '{ACME}' AND entity_id = '{}'",
        made[0]["id"].as_str().unwrap()
    );
    let event = service.database.row(&sql).await;
    let counts = |headphones: i64, keyboards: i64| json!({ACME_HEADPHONES.to_string(): headphones, ACME_KEYBOARD.to_string(): keyboards});
    assert_eq!(event["action"], "inventory.moved");
    assert_eq!(event["before"], json!({"on_hand": counts(1000, keyboards)}));
    assert_eq!(event["after"]["on_hand"], counts(1003, keyboards + 7));
    assert_eq!(
        event["after"]["movements"][2],
        json!({"product_id": ACME_HEADPHONES, "quantity": -3, "reason": "damaged", "note": "wet"})
    );
    let events = "SELECT count(*) FROM audit_events WHERE action LIKE 'inventory.%' AND request_id <> 'demo'";
    assert_eq!(service.database.value(events).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_impossible_line_moves_nothing_and_every_short_product_is_named() {
    let service = Service::start().await;
    let admin = service.admin();
    let three = admin.add_product("THREE", "1.00", 3).await;
    let none = admin.add_product("NONE", "1.00", 0).await;
    let before = service.database.digest().await;
    let short = |product: ProductId, requested: i64, available: i64| json!({"product_id": product, "requested": requested, "available": available});
    for (lines, shortages) in [
        (
            vec![line(ACME_KEYBOARD, 5), line(three, -4)],
            vec![short(three, 4, 3)],
        ),
        // The shortage is the sum per product.
        (
            vec![line(three, -2), line(none, -1), line(three, -2)],
            vec![short(three, 4, 3), short(none, 1, 0)],
        ),
        // The stock may not fall below zero after any line, even when a later line restores it.
        (vec![line(none, -2), line(none, 5)], vec![short(none, 2, 0)]),
        (
            vec![
                line(three, -5),
                line(three, 4),
                line(three, -1),
                line(three, 9),
            ],
            vec![short(three, 5, 3)],
        ),
    ] {
        let refused = receive(&service, &lines)
            .await
            .refused(409, "insufficient_stock");
        assert_eq!(refused["shortages"], json!(shortages), "{lines:?}");
    }
    assert_eq!(service.database.digest().await, before);
    // A line may use what an earlier line has received, down to zero.
    let _ = receive(&service, &[line(none, 2), line(none, -2), line(three, -3)])
        .await
        .ok(201);
    assert_eq!(
        (
            on_hand(&service, none).await,
            on_hand(&service, three).await
        ),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_units_cannot_be_taken_away() {
    let service = Service::start().await;
    let sql = format!("UPDATE inventory SET reserved = 990 WHERE product_id = '{ACME_HEADPHONES}'");
    service.database.execute(&sql).await;
    let refused = receive(&service, &[line(ACME_HEADPHONES, -11)]).await;
    assert_eq!(
        refused.refused(409, "insufficient_stock")["shortages"],
        json!([{"product_id": ACME_HEADPHONES, "requested": 11, "available": 10}])
    );
    let _ = receive(&service, &[line(ACME_HEADPHONES, -10)])
        .await
        .ok(201);
    assert_eq!(on_hand(&service, ACME_HEADPHONES).await, 990);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_product_that_nobody_has_is_named() {
    let service = Service::start().await;
    let before = service.database.digest().await;
    let nothing = ProductId::new();
    for unknown in [nothing, GLOBEX_DESK] {
        let lines = [
            line(ACME_KEYBOARD, 1),
            line(unknown, 1),
            line(ProductId::new(), 1),
        ];
        let refused = receive(&service, &lines)
            .await
            .refused(404, "product_not_found");
        assert_eq!(refused["product_id"], json!(unknown));
    }
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_that_says_something_wrong_is_named() {
    let service = Service::start().await;
    let before = service.database.digest().await;
    let with = |name: &str, value: Value| {
        let mut line = line(ACME_KEYBOARD, 1);
        line[name] = value;
        line
    };
    for (lines, expected) in [
        (json!([]), vec!["/lines"]),
        (json!(vec![line(ACME_KEYBOARD, 1); 501]), vec!["/lines"]),
        (
            json!([
                with("quantity", json!(0)),
                with("quantity", json!(1)),
                with("quantity", json!(0))
            ]),
            vec!["/lines/0/quantity", "/lines/2/quantity"],
        ),
        (
            json!([
                with("quantity", json!(MAX_ON_HAND + 1)),
                with("quantity", json!(-MAX_ON_HAND - 1)),
                with("quantity", json!(1.0))
            ]),
            vec![
                "/lines/0/quantity",
                "/lines/1/quantity",
                "/lines/2/quantity",
            ],
        ),
        (
            json!([
                with("reason", json!("sold")),
                with("reason", json!("released")),
                with("reason", json!(null))
            ]),
            vec!["/lines/0/reason", "/lines/1/reason", "/lines/2/reason"],
        ),
        (
            json!([
                with("note", json!("")),
                with("product_id", json!("x")),
                with("on_hand", json!(1))
            ]),
            vec!["/lines/0/note", "/lines/1/product_id", "/lines/2/on_hand"],
        ),
    ] {
        let body = json!({ "lines": lines });
        let reply = service
            .staff()
            .post("/api/inventory/movements", &body)
            .await;
        assert_eq!(sorted(pointers(&reply)), expected, "{body}");
    }
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_lines_are_one_delivery_and_a_repetition_of_it_moves_nothing() {
    let service = Service::start().await;
    let staff = service.staff();
    let products: Vec<ProductId> = staff
        .pages("/api/inventory", 200)
        .await
        .iter()
        .map(|stock| stock["product_id"].as_str().unwrap().parse().unwrap())
        .collect();
    let lines: Vec<Value> = products
        .iter()
        .cycle()
        .take(500)
        .map(|product| line(*product, 2))
        .collect();
    let body = json!({ "lines": lines });
    let path = "/api/inventory/movements";
    let first = staff.post_once("delivery", path, &body).await;
    assert_eq!(first.ok(201)["movements"].as_array().unwrap().len(), 500);
    let after = service.database.digest().await;
    let again = staff.post_once("delivery", path, &body).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(service.database.digest().await, after);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_counts_and_sales_of_the_same_products_at_once_add_up() {
    let (service, second) = Service::two().await;
    let admin = service.admin();
    let rich = admin.add_customer("Rich", "999999.00").await;
    let mut products = Vec::new();
    for number in 0..4 {
        products.push(admin.add_product(&format!("D-{number}"), "1.00", 100).await);
    }
    let work = (0..80_usize).map(|number| {
        let staff = if number % 2 == 0 {
            service.staff()
        } else {
            second.staff()
        };
        let mut some = products.clone();
        some.rotate_left(number % 4);
        tokio::spawn(async move {
            match number % 4 {
                0 | 1 => {
                    // Quantities go up, down and up again, in varying order.
                    let lines: Vec<Value> = some
                        .iter()
                        .chain(&some[1..])
                        .map(|id| line(*id, 3))
                        .chain([line(some[0], -2)])
                        .collect();
                    let body = json!({ "lines": lines });
                    staff.post("/api/inventory/movements", &body).await.ok(201);
                }
                2 => {
                    let body = json!({"adjust": -1, "reason": "lost"});
                    let path = format!("/api/inventory/{}", some[0]);
                    staff.patch(&path, &body).await.ok(200);
                }
                _ => {
                    staff
                        .buy_for(rich, &[(some[0], 1), (some[2], 1)])
                        .await
                        .ok(201);
                }
            }
        })
    });
    for one in work.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    // 40 deliveries each add 3 to all four products and 3 more to three of them, and take 2 from one. 20 corrections
    // take 1, and 20 sales take 2.
    let mut all = 0;
    for product in &products {
        all += on_hand(&service, *product).await;
    }
    assert_eq!(all, 400 + 40 * (4 * 3 + 3 * 3 - 2) - 20 - 40);
    books_balance(&service).await;
}
