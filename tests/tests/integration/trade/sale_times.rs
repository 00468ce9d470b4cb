//! These tests check when products of exclusive sales can be bought: only while a sale is open by the database's clock.
//! The sale's price and its limit apply.

use domain::demo::ACME_CUSTOMER;
use entity::ProductId;
use serde_json::{Value, json};
use tests::{Client, Reply, Service, books_balance, until};

/// Creates an exclusive sale of this product; `minutes` are its start and end relative to now.
async fn sale(service: &Service, product: ProductId, minutes: (i64, i64), terms: Value) -> Value {
    let at = |minutes: i64| (chrono::Utc::now() + chrono::Duration::minutes(minutes)).to_rfc3339();
    let mut body = json!({
        "name": "Drop", "kind": "exclusive", "opens_at": at(minutes.0), "closes_at": at(minutes.1),
        "products": [{"product_id": product, "price": terms["price"]}],
    });
    if let Some(limit) = terms.get("limit") {
        body["limit_per_customer"] = limit.clone();
    }
    service.admin().post("/api/sales", &body).await.ok(201)
}

async fn reserve(client: &Client, product: ProductId, quantity: i64) -> Reply {
    let items = json!([{"product_id": product, "quantity": quantity}]);
    let body = json!({"customer_id": ACME_CUSTOMER, "items": items});
    client.post("/api/reservations", &body).await
}

/// Moves the clock by making all sales earlier in the database.
async fn pass(service: &Service, minutes: i64) {
    let by = format!("interval '{minutes} minutes'");
    let earlier =
        format!("UPDATE sales SET opens_at = opens_at - {by}, closes_at = closes_at - {by}");
    service.database.execute(&earlier).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_and_after_its_sale_a_product_is_refused_with_the_times_and_sold_in_between() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let product = admin.add_product("DROP", "10.00", 10).await;
    let made = sale(&service, product, (10, 20), json!({"price": "7.00"})).await;
    for refused in [
        staff.buy(&[(product, 1)]).await,
        reserve(&staff, product, 1).await,
    ] {
        let refused = refused.refused(409, "sale_not_open");
        assert_eq!(refused["opens_at"], made["opens_at"]);
        assert_eq!(refused["closes_at"], made["closes_at"]);
        assert_eq!(refused["product_id"], json!(product));
    }
    pass(&service, 15).await;
    let order = staff.buy(&[(product, 1)]).await.ok(201);
    assert_eq!(order["total_amount"], "7.00");
    let held = reserve(&staff, product, 1).await.ok(201);
    assert_eq!(held["total_amount"], "7.00");
    pass(&service, 15).await;
    // One of the two units is held.
    staff
        .buy(&[(product, 2)])
        .await
        .refused(409, "sale_not_open");
    // The held unit is bought at the sale's price after the sale has closed.
    let path = format!(
        "/api/reservations/{}/confirm",
        held["reservation_id"].as_str().unwrap()
    );
    let order = staff
        .post(&path, &json!({"payment_method": "credit"}))
        .await
        .ok(201);
    assert_eq!(order["total_amount"], "7.00");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_is_compared_with_the_price_of_the_sale() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let product = admin.add_product("DROP", "10.00", 10).await;
    sale(&service, product, (-10, 20), json!({"price": "7.00"})).await;
    let quoted = |price: &str| {
        json!({"customer_id": ACME_CUSTOMER, "items": [
            {"product_id": product, "quantity": 1, "unit_price": price},
        ]})
    };
    let stale = staff.post("/api/purchase", &quoted("10.00")).await;
    assert_eq!(stale.refused(409, "price_changed")["current"], "7.00");
    staff.post("/api/purchase", &quoted("7.00")).await.ok(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_a_sale_counts_what_was_bought_and_held_in_it_and_not_before() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let product = admin.add_product("DROP", "1.00", 10).await;
    staff.buy(&[(product, 3)]).await.ok(201);
    sale(
        &service,
        product,
        (0, 20),
        json!({"price": null, "limit": 2}),
    )
    .await;
    reserve(&staff, product, 1).await.ok(201);
    let refused = reserve(&staff, product, 2).await;
    let refused = refused.refused(409, "purchase_limit_reached");
    assert_eq!(
        (&refused["limit"], &refused["bought"]),
        (&json!(2), &json!(1))
    );
    // The purchase uses up the customer's own reservation.
    staff.buy(&[(product, 2)]).await.ok(201);
    staff
        .buy(&[(product, 1)])
        .await
        .refused(409, "purchase_limit_reached");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_waits_for_a_lock_while_the_sale_opens_buys_in_the_sale() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let product = admin.add_product("DROP", "1.00", 10).await;
    let terms = json!({"price": null, "limit": 1});
    sale(&service, product, (10, 20), terms).await;
    let row = format!("SELECT FROM inventory WHERE product_id = '{product}' FOR UPDATE");
    let held = service.database.hold(&row).await;
    let early = tokio::spawn({
        let staff = staff.clone();
        async move { staff.buy(&[(product, 1)]).await }
    });
    until(
        "the early buyer waits for the lock of the stock",
        async || service.database.blocked().await == 1,
    )
    .await;
    // The sale opens after the waiting transaction has begun.
    let opens = "UPDATE sales SET opens_at = clock_timestamp()";
    service.database.execute(opens).await;
    held.release().await;
    early.await.unwrap().ok(201);
    let again = staff.buy(&[(product, 1)]).await;
    again.refused(409, "purchase_limit_reached");
    let order =
        "SELECT bool_and(o.created_at >= s.opens_at AND e.effective_at = o.created_at)::text
                   FROM orders o JOIN ledger_entries e ON e.order_id = o.id, sales s
                  WHERE o.id = (SELECT order_id FROM order_items WHERE product_id = ";
    let in_sale = service
        .database
        .value(&format!("{order}'{product}')"))
        .await;
    assert_eq!(in_sale, "true");
    books_balance(&service).await;
}
