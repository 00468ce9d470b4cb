//! These tests check the two kinds of sales. A discount lowers a price while it is open. An exclusive sale is the only
//! time at which its products can be bought. Products show their current price and why they cannot be bought.

use entity::ProductId;
use serde_json::{Value, json};
use tests::{Client, Reply, Service, books_balance};

/// The body of a sale of this product; `minutes` are its start and end relative to now.
fn sale(product: ProductId, minutes: (i64, i64), price: Option<&str>) -> Value {
    let at = |minutes: i64| (chrono::Utc::now() + chrono::Duration::minutes(minutes)).to_rfc3339();
    json!({
        "name": "Drop", "opens_at": at(minutes.0), "closes_at": at(minutes.1),
        "products": [{"product_id": product, "price": price}],
    })
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

fn exclusive(product: ProductId, minutes: (i64, i64), price: Option<&str>) -> Value {
    with(sale(product, minutes, price), "kind", json!("exclusive"))
}

async fn make(service: &Service, body: &Value) -> Value {
    service.admin().post("/api/sales", body).await.ok(201)
}

/// Moves the clock by making all sales earlier in the database.
async fn pass(service: &Service, minutes: i64) {
    let by = format!("interval '{minutes} minutes'");
    let earlier =
        format!("UPDATE sales SET opens_at = opens_at - {by}, closes_at = closes_at - {by}");
    service.database.execute(&earlier).await;
}

/// The product as this client reads it. Asserts that the list agrees.
async fn seen(reader: &Client, product: ProductId) -> Value {
    let read = reader
        .get(&format!("/api/products/{product}"))
        .await
        .ok(200);
    let listed = reader.pages("/api/products", 200).await;
    let row = listed.iter().find(|row| row["id"] == json!(product));
    assert_eq!(Some(&read), row, "the list differs from the read");
    read
}

/// The price, the list price, and the reason why the product is not for sale.
async fn terms(reader: &Client, product: ProductId) -> (String, String, Value) {
    let seen = seen(reader, product).await;
    let text = |name: &str| seen[name].as_str().unwrap().to_owned();
    let why = seen["not_for_sale"]["reason"].clone();
    (text("price"), text("list_price"), why)
}

fn costs(price: &str) -> (String, String, Value) {
    (price.to_owned(), "10.00".to_owned(), json!(null))
}

async fn buy(client: &Client, product: ProductId, quantity: i64) -> Reply {
    client.buy(&[(product, quantity)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discount_that_is_planned_or_over_leaves_its_product_on_sale_at_the_list_price() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let product = admin.add_product("DROP", "10.00", 10).await;
    // The default kind is a discount.
    let made = make(&service, &sale(product, (10, 20), Some("7.00"))).await;
    assert_eq!(made["kind"], "discount");
    for (state, price) in [
        (json!("upcoming"), "10.00"),
        (json!("open"), "7.00"),
        (json!(null), "10.00"),
    ] {
        assert_eq!(terms(&staff, product).await, costs(price), "{state}");
        assert_eq!(seen(&staff, product).await["sale"]["state"], state);
        let order = buy(&staff, product, 1).await.ok(201);
        assert_eq!(order["total_amount"], price, "{state}");
        pass(&service, 12).await;
    }
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_in_an_exclusive_sale_says_when_it_is_sold() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let product = admin.add_product("DROP", "10.00", 10).await;
    let made = make(&service, &exclusive(product, (10, 20), Some("7.00"))).await;
    assert_eq!(made["kind"], "exclusive");
    let shown = seen(&staff, product).await;
    assert_eq!(
        shown["not_for_sale"],
        json!({"reason": "not_yet_open", "opens_at": made["opens_at"], "closes_at": made["closes_at"]})
    );
    assert_eq!(
        (&shown["price"], &shown["active"]),
        (&json!("10.00"), &json!(true))
    );
    buy(&staff, product, 1).await.refused(409, "sale_not_open");
    pass(&service, 12).await;
    assert_eq!(terms(&staff, product).await, costs("7.00"));
    buy(&staff, product, 1).await.ok(201);
    pass(&service, 12).await;
    assert_eq!(terms(&staff, product).await.2, "closed");
    buy(&staff, product, 1).await.refused(409, "sale_not_open");
    // An open discount does not open the product. When the exclusive sale becomes a discount, it no longer closes the
    // product.
    make(&service, &sale(product, (-1, 20), Some("6.00"))).await;
    assert_eq!(terms(&staff, product).await.2, "closed");
    buy(&staff, product, 1).await.refused(409, "sale_not_open");
    let path = format!("/api/sales/{}", made["sale_id"].as_str().unwrap());
    let changed = admin.patch(&path, &json!({"kind": "discount"})).await;
    assert_eq!(changed.ok(200)["kind"], "discount");
    assert_eq!(terms(&staff, product).await, costs("6.00"));
    buy(&staff, product, 1).await.ok(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_from_before_there_were_kinds_are_exclusive() {
    let service = Service::start().await;
    let kind = "SELECT column_default FROM information_schema.columns
                 WHERE table_name = 'sales' AND column_name = 'kind'";
    assert_eq!(service.database.value(kind).await, "'exclusive'::text");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_buyer_is_shown_and_charged_the_cheapest_price_that_is_left_to_them() {
    let service = Service::start().await;
    let (admin, customer) = (service.admin(), service.customer());
    let product = admin.add_product("DROP", "10.00", 20).await;
    for (price, limit) in [("7.00", 1), ("8.00", 2)] {
        let body = sale(product, (-5, 20), Some(price));
        make(&service, &with(body, "limit_per_customer", json!(limit))).await;
    }
    let own = async |quantity: i64, price: &str| {
        let body =
            json!({"items": [{"product_id": product, "quantity": quantity, "unit_price": price}]});
        customer.post("/api/purchase", &body).await
    };
    let shown = seen(&customer, product).await;
    assert_eq!(shown["sale"]["limit_per_customer"], 1);
    for price in ["7.00", "8.00", "10.00", "10.00"] {
        assert_eq!(terms(&customer, product).await, costs(price));
        own(1, price).await.ok(201);
    }
    assert_eq!(seen(&customer, product).await["sale"], json!(null));
    // Other customers have not used up the discount.
    let anyone = format!("/api/products/{product}?business=acme");
    assert_eq!(service.nobody().get(&anyone).await.ok(200)["price"], "7.00");
    assert_eq!(terms(&service.staff(), product).await, costs("7.00"));
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_in_a_sale_use_up_its_limit_and_more_is_refused() {
    let service = Service::start().await;
    let (admin, customer) = (service.admin(), service.customer());
    let product = admin.add_product("DROP", "10.00", 20).await;
    let body = sale(product, (-5, 20), Some("7.00"));
    make(&service, &with(body, "limit_per_customer", json!(2))).await;
    let items = |quantity: i64| json!({"items": [{"product_id": product, "quantity": quantity}]});
    let refused = customer.post("/api/reservations", &items(3)).await;
    let refused = refused.refused(409, "purchase_limit_reached");
    assert_eq!(
        (&refused["limit"], &refused["requested"]),
        (&json!(2), &json!(3))
    );
    let held = customer.post("/api/reservations", &items(2)).await.ok(201);
    assert_eq!(held["total_amount"], "14.00");
    assert_eq!(terms(&customer, product).await, costs("10.00"));
    // Held units are bought at their price, and further units at the list price.
    for price in ["14.00", "20.00"] {
        let order = customer.post("/api/purchase", &items(2)).await.ok(201);
        assert_eq!(order["total_amount"], price);
    }
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_has_used_up_an_exclusive_sale_buys_no_more_in_it() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let product = admin.add_product("DROP", "10.00", 20).await;
    let body = exclusive(product, (-5, 20), Some("7.00"));
    make(&service, &with(body, "limit_per_customer", json!(1))).await;
    buy(&staff, product, 1).await.ok(201);
    let refused = buy(&staff, product, 1).await;
    let refused = refused.refused(409, "purchase_limit_reached");
    assert_eq!(
        (&refused["limit"], &refused["bought"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_sale_is_made_dearer_than_the_list_price_and_a_lower_list_price_is_charged() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let product = admin.add_product("DROP", "10.00", 20).await;
    let before = service.database.digest().await;
    for body in [
        sale(product, (-5, 20), Some("10.01")),
        exclusive(product, (-5, 20), Some("10.01")),
    ] {
        let refused = admin.post("/api/sales", &body).await;
        let refused = refused.refused(409, "sale_price_above_list_price");
        assert_eq!(refused["product_id"], json!(product));
        assert_eq!(
            (&refused["price"], &refused["list_price"]),
            (&json!("10.01"), &json!("10.00"))
        );
    }
    assert_eq!(service.database.digest().await, before);
    let made = make(&service, &sale(product, (-5, 20), Some("10.00"))).await;
    let path = format!("/api/sales/{}", made["sale_id"].as_str().unwrap());
    let dearer = json!({"products": [{"product_id": product, "price": "11.00"}]});
    let refused = admin.patch(&path, &dearer).await;
    let _ = refused.refused(409, "sale_price_above_list_price");
    let cheaper = json!({"price": "6.00"});
    let path = format!("/api/products/{product}");
    let changed = admin.patch(&path, &cheaper).await.ok(200);
    assert_eq!(
        (&changed["price"], &changed["list_price"]),
        (&json!("6.00"), &json!("6.00"))
    );
    assert_eq!(changed["sale"]["price"], "6.00");
    let order = buy(&staff, product, 1).await.ok(201);
    assert_eq!(order["total_amount"], "6.00");
}
