//! These tests check held stock as readers see it: an expired hold does not count, even before the sweeper has released
//! it.

use domain::demo::ACME_HEADPHONES;
use serde_json::{Value, json};
use tests::{Service, books_balance, hold, join_waitlist};

/// The product's `on_hand`, `reserved`, `available` and `waiting`; all endpoints must agree.
async fn figures(service: &Service) -> [i64; 4] {
    let staff = service.staff();
    let stock = staff
        .get(&format!("/api/inventory/{ACME_HEADPHONES}"))
        .await
        .ok(200);
    let listed = staff.pages("/api/inventory", 200).await;
    let is_it = |row: &&Value| row["product_id"] == json!(ACME_HEADPHONES);
    let listed = listed.iter().find(is_it).unwrap();
    // A row of the list names the product too.
    for (name, value) in stock.as_object().unwrap() {
        assert_eq!(&listed[name], value, "{name}");
    }
    let product = staff
        .get(&format!("/api/products/{ACME_HEADPHONES}"))
        .await
        .ok(200);
    assert_eq!(product["available"], stock["available"]);
    let products = staff.pages("/api/products", 200).await;
    let listed = products
        .iter()
        .find(|row| row["id"] == json!(ACME_HEADPHONES));
    assert_eq!(listed, Some(&product));
    ["on_hand", "reserved", "available", "waiting"].map(|name| stock[name].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_items_neither_hold_nor_wait() {
    let service = Service::start().await;
    assert_eq!(figures(&service).await, [1000, 0, 1000, 0]);
    hold(&service, ACME_HEADPHONES, 30, 600).await;
    hold(&service, ACME_HEADPHONES, 5, -1).await;
    assert_eq!(figures(&service).await, [1000, 30, 970, 0]);
    join_waitlist(&service, ACME_HEADPHONES, 600).await;
    join_waitlist(&service, ACME_HEADPHONES, -1).await;
    join_waitlist(&service, ACME_HEADPHONES, 600).await;
    assert_eq!(figures(&service).await, [1000, 30, 0, 2]);
    books_balance(&service).await;
    service
        .database
        .execute("UPDATE reservation_items SET expires_at = now()")
        .await;
    assert_eq!(figures(&service).await, [1000, 0, 1000, 0]);
    // The stored counts change only when the sweeper or another transaction releases the holds.
    let sql =
        format!("SELECT reserved, waiting FROM inventory WHERE product_id = '{ACME_HEADPHONES}'");
    assert_eq!(
        service.database.row(&sql).await,
        json!({"reserved": 35, "waiting": 3})
    );
    // The responses to a correction and to a change of the product leave expired holds out as well.
    let path = format!("/api/inventory/{ACME_HEADPHONES}");
    let body = json!({"adjust": 1, "reason": "found"});
    let corrected = service.staff().patch(&path, &body).await.ok(200);
    assert_eq!(
        (&corrected["available"], &corrected["waiting"]),
        (&json!(1001), &json!(0))
    );
    let path = format!("/api/products/{ACME_HEADPHONES}");
    let edited = service
        .admin()
        .patch(&path, &json!({"name": "Same"}))
        .await
        .ok(200);
    assert_eq!(edited["available"], 1001);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_below_the_held_units_is_refused_with_the_figures() {
    let service = Service::start().await;
    hold(&service, ACME_HEADPHONES, 30, 600).await;
    let before = service.database.digest().await;
    let path = format!("/api/inventory/{ACME_HEADPHONES}");
    let count = async |counted: i64| {
        let body = json!({"set": counted, "reason": "stocktake"});
        service.staff().patch(&path, &body).await
    };
    for counted in [29, 0] {
        let refused = count(counted).await.refused(409, "counted_below_reserved");
        let figures = ["on_hand", "reserved", "counted", "product_id"].map(|name| &refused[name]);
        assert_eq!(
            figures,
            [
                &json!(1000),
                &json!(30),
                &json!(counted),
                &json!(ACME_HEADPHONES)
            ]
        );
    }
    assert_eq!(service.database.digest().await, before);
    assert_eq!(count(30).await.ok(200)["available"], 0);
}
