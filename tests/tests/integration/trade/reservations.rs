//! These tests check reservations: held stock is released when it expires, and is allocated to the waitlist in order.

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD, GLOBEX_CUSTOMER, GLOBEX_DESK};
use entity::{CustomerId, ProductId};
use serde_json::{Value, json};
use tests::{Client, Reply, Service, books_balance, until};

/// Reserves a quantity for the demo customer.
async fn reserve(client: &Client, product: ProductId, quantity: i64) -> Reply {
    reserve_for(client, ACME_CUSTOMER, product, quantity).await
}

async fn reserve_for(
    client: &Client,
    customer: CustomerId,
    product: ProductId,
    quantity: i64,
) -> Reply {
    let body = json!({
        "customer_id": customer,
        "items": [{"product_id": product, "quantity": quantity}],
    });
    client.post("/api/reservations", &body).await
}

/// Calls [`reserve_for`] with `wait`, which takes a waitlist position if too little is available.
async fn join_waitlist(
    client: &Client,
    customer: CustomerId,
    product: ProductId,
    quantity: i64,
) -> Reply {
    let body = json!({
        "customer_id": customer,
        "items": [{"product_id": product, "quantity": quantity}],
        "wait": true,
    });
    client.post("/api/reservations", &body).await
}

fn path(reservation: &Value) -> String {
    format!(
        "/api/reservations/{}",
        reservation["reservation_id"].as_str().unwrap()
    )
}

async fn confirm(client: &Client, reservation: &Value) -> Reply {
    let body = json!({"payment_method": "credit"});
    let path = format!("{}/confirm", path(reservation));
    client.post(&path, &body).await
}

async fn cancel(client: &Client, reservation: &Value) -> Reply {
    let path = format!("{}/cancel", path(reservation));
    client
        .send(client.request(reqwest::Method::POST, &path))
        .await
}

async fn status(client: &Client, reservation: &Value) -> Value {
    client.get(&path(reservation)).await.ok(200)["status"].clone()
}

/// The product's `on_hand`, `reserved` and `available`.
async fn counts(client: &Client, product: ProductId) -> (i64, i64, i64) {
    let stock = client
        .get(&format!("/api/inventory/{product}"))
        .await
        .ok(200);
    let count = |member: &str| stock[member].as_i64().unwrap();
    (count("on_hand"), count("reserved"), count("available"))
}

/// Moves the clock by making all reservations older in the database.
async fn pass(service: &Service, seconds: i64) {
    for table in ["reservations", "reservation_items"] {
        service
            .database
            .execute(&format!(
                "UPDATE {table} SET expires_at = expires_at - interval '{seconds} seconds'"
            ))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn held_units_are_for_nobody_else_and_are_ordered_at_their_reserved_price() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let rare = admin.add_product("RARE", "10.00", 3).await;
    let held = reserve(&staff, rare, 2).await.ok(201);
    assert_eq!(held["status"], "active");
    assert_eq!(held["total_amount"], "20.00");
    assert_eq!(staff.get(&path(&held)).await.ok(200), held);
    assert_eq!(counts(&staff, rare).await, (3, 2, 1));

    let other = admin.add_customer("Other", "1000.00").await;
    let refused = staff.buy_for(other, &[(rare, 2)]).await;
    let refused = refused.refused(409, "insufficient_stock");
    assert_eq!(refused["shortages"][0]["available"], 1);

    let dearer = json!({"price": "99.00"});
    admin
        .patch(&format!("/api/products/{rare}"), &dearer)
        .await
        .ok(200);
    let order = confirm(&staff, &held).await.ok(201);
    assert_eq!(order["total_amount"], "20.00");
    assert_eq!(order["items"][0]["unit_price"], "10.00");
    assert_eq!(counts(&staff, rare).await, (1, 0, 1));
    let found = staff.get(&path(&held)).await.ok(200);
    assert_eq!(found["status"], "confirmed");
    assert_eq!(found["order_id"], order["order_id"]);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reservation_resolves_once_and_each_wrong_second_try_has_its_code() {
    let service = Service::start().await;
    let staff = service.staff();
    let bought = reserve(&staff, ACME_KEYBOARD, 1).await.ok(201);
    confirm(&staff, &bought).await.ok(201);
    let twice = confirm(&staff, &bought)
        .await
        .refused(409, "invalid_transition");
    assert_eq!(
        (&twice["from"], &twice["to"]),
        (&json!("confirmed"), &json!("confirmed"))
    );
    cancel(&staff, &bought)
        .await
        .refused(409, "invalid_transition");

    let given_up = reserve(&staff, ACME_KEYBOARD, 1).await.ok(201);
    let after = cancel(&staff, &given_up).await.ok(200);
    assert_eq!(after["status"], "cancelled");
    confirm(&staff, &given_up)
        .await
        .refused(409, "invalid_transition");
    cancel(&staff, &given_up)
        .await
        .refused(409, "invalid_transition");

    let forgotten = reserve(&staff, ACME_KEYBOARD, 1).await.ok(201);
    pass(&service, 301).await;
    confirm(&staff, &forgotten)
        .await
        .refused(410, "reservation_expired");
    cancel(&staff, &forgotten)
        .await
        .refused(410, "reservation_expired");
    assert_eq!(status(&staff, &forgotten).await, "expired");
    assert_eq!(counts(&staff, ACME_KEYBOARD).await.1, 0);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_products_are_held_all_or_none() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let rare = admin.add_product("RARE", "1.00", 1).await;
    let body = json!({"customer_id": ACME_CUSTOMER, "items": [
        {"product_id": ACME_KEYBOARD, "quantity": 2}, {"product_id": rare, "quantity": 2},
    ]});
    let refused = staff.post("/api/reservations", &body).await;
    refused.refused(409, "insufficient_stock");
    assert_eq!(counts(&staff, ACME_KEYBOARD).await.1, 0);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn released_stock_goes_to_the_first_of_the_waitlist_before_new_buyers() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let rare = admin.add_product("RARE", "1.00", 1).await;
    let held = reserve(&staff, rare, 1).await.ok(201);
    let mut line = Vec::new();
    for (place, name) in [(1, "First"), (2, "Second")] {
        let customer = admin.add_customer(name, "100.00").await;
        let waiting = join_waitlist(&staff, customer, rare, 1).await.ok(202);
        assert_eq!(waiting["status"], "waiting");
        assert_eq!(waiting["place"], place);
        line.push(waiting);
    }
    confirm(&staff, &line[0])
        .await
        .refused(409, "invalid_transition");
    cancel(&staff, &held).await.ok(200);
    assert_eq!(status(&staff, &line[0]).await, "active");
    let second = staff.get(&path(&line[1])).await.ok(200);
    assert_eq!(
        (&second["status"], &second["place"]),
        (&json!("waiting"), &json!(1))
    );
    cancel(&staff, &line[0]).await.ok(200);
    let newcomer = admin.add_customer("Newcomer", "100.00").await;
    staff
        .buy_for(newcomer, &[(rare, 1)])
        .await
        .refused(409, "insufficient_stock");
    confirm(&staff, &line[1]).await.ok(201);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_for_units_that_cannot_be_released_becomes_sold_out() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let rare = admin.add_product("RARE", "1.00", 2).await;
    let held = reserve(&staff, rare, 1).await.ok(201);
    let customer = admin.add_customer("Waiting", "100.00").await;
    let waiting = join_waitlist(&staff, customer, rare, 2).await.ok(202);
    let too_many = join_waitlist(&staff, customer, rare, 3).await;
    too_many.refused(409, "sold_out");
    confirm(&staff, &held).await.ok(201);
    assert_eq!(status(&staff, &waiting).await, "sold_out");
    confirm(&staff, &waiting).await.refused(409, "sold_out");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_holds_are_released_without_a_request_and_allocated_to_the_waitlist() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let rare = admin.add_product("RARE", "1.00", 1).await;
    reserve(&staff, rare, 1).await.ok(201);
    pass(&service, 301).await;
    // No other command for the product has to come first.
    let customer = admin.add_customer("Waiting", "100.00").await;
    let held = reserve_for(&staff, customer, rare, 1).await.ok(201);
    let other = admin.add_customer("Other", "100.00").await;
    let waiting = join_waitlist(&staff, other, rare, 1).await.ok(202);
    let only = format!(
        "UPDATE reservations SET expires_at = now() WHERE id = '{0}'; \
         UPDATE reservation_items SET expires_at = now() WHERE reservation_id = '{0}'",
        held["reservation_id"].as_str().unwrap()
    );
    for statement in only.split("; ") {
        service.database.execute(statement).await;
    }
    until(
        "stock is allocated to the first of the waitlist",
        async || status(&staff, &waiting).await == "active",
    )
    .await;
    assert_eq!(status(&staff, &held).await, "expired");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_reservation_counts_for_ones_own_order() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let rare = admin.add_product("RARE", "1.00", 3).await;
    let held = reserve(&staff, rare, 3).await.ok(201);
    let order = staff.buy(&[(rare, 2)]).await.ok(201);
    let found = staff.get(&path(&held)).await.ok(200);
    assert_eq!(found["status"], "active");
    assert_eq!(found["items"][0]["quantity"], 1);
    assert_eq!(counts(&staff, rare).await, (1, 1, 0));
    let order_of_the_rest = staff.buy(&[(rare, 1)]).await.ok(201);
    assert_ne!(order_of_the_rest["order_id"], order["order_id"]);
    let found = staff.get(&path(&held)).await.ok(200);
    assert_eq!(found["status"], "confirmed");
    assert_eq!(found["order_id"], order_of_the_rest["order_id"]);
    assert_eq!(counts(&staff, rare).await, (0, 0, 0));
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_and_awaited_units_count_towards_the_limit_of_a_customer() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let rare = admin.add_product("RARE", "1.00", 10).await;
    let limited = json!({"limit_per_customer": 3});
    admin
        .patch(&format!("/api/products/{rare}"), &limited)
        .await
        .ok(200);
    staff.buy(&[(rare, 1)]).await.ok(201);
    reserve(&staff, rare, 1).await.ok(201);
    let refused = reserve(&staff, rare, 2)
        .await
        .refused(409, "purchase_limit_reached");
    assert_eq!(
        (&refused["limit"], &refused["bought"]),
        (&json!(3), &json!(2))
    );
    reserve(&staff, rare, 1).await.ok(201);
    reserve(&staff, rare, 1)
        .await
        .refused(409, "purchase_limit_reached");
    // A purchase uses up the customer's own hold.
    staff.buy(&[(rare, 2)]).await.ok(201);
    staff
        .buy(&[(rare, 1)])
        .await
        .refused(409, "purchase_limit_reached");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_has_so_many_reservations_at_once_and_no_more() {
    let service = Service::start().await;
    let staff = service.staff();
    for _ in 0..domain::stock::reservations::MAX_OPEN_PER_CUSTOMER {
        reserve(&staff, ACME_KEYBOARD, 1).await.ok(201);
    }
    let refused = reserve(&staff, ACME_KEYBOARD, 1).await;
    let refused = refused.refused(409, "reservation_limit_reached");
    assert_eq!(
        refused["limit"],
        domain::stock::reservations::MAX_OPEN_PER_CUSTOMER
    );
    pass(&service, 301).await;
    reserve(&staff, ACME_KEYBOARD, 1).await.ok(201);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_reservation_gets_the_first_answer_and_holds_once() {
    let service = Service::start().await;
    let staff = service.staff();
    let body = json!({"customer_id": ACME_CUSTOMER, "items": [{"product_id": ACME_HEADPHONES, "quantity": 2}]});
    let first = staff.post_once("hold", "/api/reservations", &body).await;
    let again = staff.post_once("hold", "/api/reservations", &body).await;
    assert_eq!(first.ok(201), again.ok(201));
    assert_eq!(again.header("idempotency-replayed"), "true");
    let path = format!("{}/confirm", path(&first.ok(201)));
    let credit = json!({"payment_method": "credit"});
    let bought = staff.post_once("buy", &path, &credit).await;
    let again = staff.post_once("buy", &path, &credit).await;
    assert_eq!(bought.ok(201), again.ok(201));
    assert_eq!(counts(&staff, ACME_HEADPHONES).await, (998, 0, 998));
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_of_other_customers_and_other_businesses_do_not_exist() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let other = admin.add_customer("Other", "1000.00").await;
    let held = reserve_for(&staff, other, ACME_KEYBOARD, 1).await.ok(201);
    let strangers = [service.customer(), service.stranger()];
    for stranger in strangers {
        stranger
            .get(&path(&held))
            .await
            .refused(404, "reservation_not_found");
        confirm(&stranger, &held)
            .await
            .refused(404, "reservation_not_found");
        cancel(&stranger, &held)
            .await
            .refused(404, "reservation_not_found");
    }
    reserve_for(&service.customer(), other, ACME_KEYBOARD, 1)
        .await
        .refused(404, "customer_not_found");
    reserve_for(&staff, GLOBEX_CUSTOMER, ACME_KEYBOARD, 1)
        .await
        .refused(404, "customer_not_found");
    reserve(&staff, GLOBEX_DESK, 1)
        .await
        .refused(404, "product_not_found");
    assert_eq!(status(&staff, &held).await, "active");
}
