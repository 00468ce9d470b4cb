//! These tests check purchases on credit: each takes stock and credit in one step, or changes nothing.

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD, GLOBEX_CUSTOMER, GLOBEX_DESK};
use entity::{CustomerId, ProductId};
use serde_json::{Value, json};
use tests::{Client, Service, books_balance};

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_takes_stock_and_credit_and_leaves_a_trail() {
    let service = Service::start().await;
    let staff = service.staff();
    let receipt = staff.buy(&[(ACME_HEADPHONES, 5), (ACME_KEYBOARD, 2)]).await;
    let body = receipt.ok(201);
    assert_eq!(body["total_amount"], "600.00");
    assert_eq!(body["amount_paid"], "0.00");
    assert_eq!(body["amount_due"], "600.00");
    assert_eq!(body["customer_balance"], "600.00");
    assert_eq!(body["available_credit"], "400.00");
    assert_eq!(body["status"], "approved");
    assert_eq!(body["payment_method"], "credit");
    assert_eq!(body["currency"], "USD");
    assert_eq!(body["customer_id"], json!(ACME_CUSTOMER));
    assert_eq!(
        body["items"],
        json!([
            {"product_id": ACME_HEADPHONES, "sku": "HDP-001", "name": "Wireless headphones",
             "quantity": 5, "unit_price": "100.00", "line_total": "500.00"},
            {"product_id": ACME_KEYBOARD, "sku": "KEY-001", "name": "Mechanical keyboard",
             "quantity": 2, "unit_price": "50.00", "line_total": "100.00"},
        ])
    );

    let order = staff.get(receipt.header("location")).await.ok(200);
    // The order has the members of the receipt, and further members that are still empty.
    let nothing = json!({"amount_refunded": "0.00", "cancel_reason": null, "tracking_reference": null, "payments": [],
                         "refunds": [], "amount_lost": "0.00", "disputes": [], "attention": []});
    for (member, value) in order.as_object().unwrap() {
        match member.as_str() {
            "history" => {
                let made = json!([{"from": null, "to": "approved", "at": body["created_at"], "actor_role": null}]);
                assert_eq!(*value, made);
            }
            member => {
                let expected = body.get(member).unwrap_or(&nothing[member]);
                assert_eq!(value, expected, "{member}");
            }
        }
    }
    assert_eq!(on_hand(&staff, ACME_HEADPHONES).await, 995);
    assert_eq!(on_hand(&staff, ACME_KEYBOARD).await, 998);
    assert_eq!(balance(&staff, ACME_CUSTOMER).await, "600.00");

    let id = body["order_id"].as_str().unwrap();
    let entries =
        format!("SELECT kind, amount, balance_after FROM ledger_entries WHERE order_id = '{id}'");
    assert_eq!(
        service.database.column(&entries).await,
        ["charge,600.0000,600.0000"]
    );
    let events =
        format!("SELECT action, actor_role, request_id FROM audit_events WHERE entity_id = '{id}'");
    let request = receipt.header("x-request-id");
    assert_eq!(
        service.database.column(&events).await,
        [format!("order.approved,staff,{request}")]
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_purchase_changes_nothing() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let small = admin.add_customer("Small", "10.00").await;
    let held = admin.add_customer("Held", "1000.00").await;
    let hold = json!({"on_hold": true});
    admin.patch(&of_customer(held), &hold).await.ok(200);
    let rare = admin.add_product("RARE", "1.00", 3).await;
    let limited = limited_product(&admin, "LIMITED", 2).await;
    let inactive = admin.add_product("OLD", "1.00", 3).await;
    let withdrawn = json!({"active": false});
    admin.patch(&of_product(inactive), &withdrawn).await.ok(200);
    let (nobody, nothing) = (CustomerId::new(), ProductId::new());

    let before = footprint(&service).await;
    let key = "refusals-are-not-kept";
    for (customer, items, status, expected) in [
        (
            nobody,
            json!([{"product_id": rare, "quantity": 1}]),
            404,
            json!({"code": "customer_not_found", "customer_id": nobody}),
        ),
        (
            GLOBEX_CUSTOMER,
            json!([{"product_id": rare, "quantity": 1}]),
            404,
            json!({"code": "customer_not_found", "customer_id": GLOBEX_CUSTOMER}),
        ),
        (
            held,
            json!([{"product_id": rare, "quantity": 1}]),
            409,
            json!({"code": "customer_on_hold", "customer_id": held}),
        ),
        (
            ACME_CUSTOMER,
            json!([{"product_id": rare, "quantity": 1}, {"product_id": nothing, "quantity": 1}]),
            404,
            json!({"code": "product_not_found", "product_id": nothing}),
        ),
        (
            ACME_CUSTOMER,
            json!([{"product_id": rare, "quantity": 1}, {"product_id": inactive, "quantity": 1}]),
            404,
            json!({"code": "product_not_found", "product_id": inactive}),
        ),
        (
            ACME_CUSTOMER,
            json!([{"product_id": rare, "quantity": 1}, {"product_id": GLOBEX_DESK, "quantity": 1}]),
            404,
            json!({"code": "product_not_found", "product_id": GLOBEX_DESK}),
        ),
        (
            ACME_CUSTOMER,
            json!([{"product_id": rare, "quantity": 1, "unit_price": "0.99"}]),
            409,
            json!({"code": "price_changed", "product_id": rare, "quoted": "0.99", "current": "1.00",
                   "currency": "USD"}),
        ),
        (
            ACME_CUSTOMER,
            json!([{"product_id": rare, "quantity": 1, "unit_price": "1.00"},
                   {"product_id": rare, "quantity": 1, "unit_price": "1.01"}]),
            409,
            json!({"code": "price_changed", "product_id": rare, "quoted": "1.01", "current": "1.00"}),
        ),
        (
            ACME_CUSTOMER,
            json!([{"product_id": limited, "quantity": 3}]),
            409,
            json!({"code": "purchase_limit_reached", "product_id": limited, "limit": 2, "bought": 0,
                   "requested": 3}),
        ),
        (
            ACME_CUSTOMER,
            json!([{"product_id": rare, "quantity": 4}, {"product_id": ACME_HEADPHONES, "quantity": 1},
                   {"product_id": ACME_KEYBOARD, "quantity": 600}, {"product_id": ACME_KEYBOARD, "quantity": 600}]),
            409,
            json!({"code": "insufficient_stock", "shortages": [
                {"product_id": rare, "requested": 4, "available": 3},
                {"product_id": ACME_KEYBOARD, "requested": 1200, "available": 1000},
            ]}),
        ),
        (
            ACME_CUSTOMER,
            json!([{"product_id": ACME_HEADPHONES, "quantity": 10}, {"product_id": rare, "quantity": 1}]),
            409,
            json!({"code": "credit_limit_exceeded", "credit_limit": "1000.00", "balance": "0.00",
                   "amount": "1001.00", "available_credit": "1000.00", "currency": "USD"}),
        ),
        (
            small,
            json!([{"product_id": ACME_KEYBOARD, "quantity": 1}]),
            409,
            json!({"code": "credit_limit_exceeded", "credit_limit": "10.00", "amount": "50.00"}),
        ),
    ] {
        let body = json!({"customer_id": customer, "items": items});
        let refused = staff.post_once(key, "/api/purchase", &body).await;
        let code = expected["code"].as_str().unwrap();
        let problem = refused.refused(status, code);
        for (member, value) in expected.as_object().unwrap() {
            assert_eq!(problem[member], *value, "{member} of {problem}");
        }
        assert_eq!(footprint(&service).await, before, "after {code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credit_can_be_used_to_the_last_cent_and_not_one_further() {
    let service = Service::start().await;
    let admin = service.admin();
    let exact = admin.add_customer("Exact", "100.00").await;
    let gum = admin.add_product("GUM", "0.01", 20_000).await;
    let most = admin.add_product("MOST", "99.99", 1).await;

    let receipt = admin.buy_for(exact, &[(most, 1)]).await.ok(201);
    assert_eq!(receipt["available_credit"], "0.01");
    let refused = admin.buy_for(exact, &[(gum, 2)]).await;
    let problem = refused.refused(409, "credit_limit_exceeded");
    assert_eq!(problem["available_credit"], "0.01");
    assert_eq!(problem["amount"], "0.02");
    let receipt = admin.buy_for(exact, &[(gum, 1)]).await.ok(201);
    assert_eq!(receipt["available_credit"], "0.00");
    assert_eq!(receipt["customer_balance"], "100.00");
    let refused = admin.buy_for(exact, &[(gum, 1)]).await;
    refused.refused(409, "credit_limit_exceeded");

    // A total of 19,999 cents, which binary fractions cannot represent exactly.
    let other = admin.add_customer("Other", "199.99").await;
    let receipt = admin.buy_for(other, &[(gum, 19_999)]).await.ok(201);
    assert_eq!(receipt["total_amount"], "199.99");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_at_price_0_needs_stock_but_no_credit() {
    let service = Service::start().await;
    let admin = service.admin();
    let poor = admin.add_customer("Poor", "0.00").await;
    let leaflet = admin.add_product("LEAFLET", "0.00", 2).await;
    let receipt = admin.buy_for(poor, &[(leaflet, 2)]).await.ok(201);
    assert_eq!(receipt["total_amount"], "0.00");
    let refused = admin.buy_for(poor, &[(leaflet, 1)]).await;
    refused.refused(409, "insufficient_stock");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_beyond_any_limit_are_refused_like_others() {
    let service = Service::start().await;
    let admin = service.admin();
    let dear = "999999999999999.99";
    let ship = admin.add_product("SHIP", dear, 1_000_000).await;
    let yacht = admin.add_product("YACHT", dear, 1_000_000).await;
    let rich = admin.add_customer("Rich", dear).await;
    let refused = admin
        .buy_for(rich, &[(ship, 1_000_000), (yacht, 1_000_000)])
        .await;
    let problem = refused.refused(409, "credit_limit_exceeded");
    assert_eq!(problem["amount"], "1999999999999999980000.00");
    let receipt = admin.buy_for(rich, &[(ship, 1)]).await.ok(201);
    assert_eq!(receipt["customer_balance"], dear);
    let refused = admin.buy_for(rich, &[(ship, 1)]).await;
    refused.refused(409, "credit_limit_exceeded");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_lines_of_one_product_are_one_demand_and_one_line() {
    let service = Service::start().await;
    let admin = service.admin();
    let pair = admin.add_product("PAIR", "3.00", 10).await;
    let refused = admin.buy(&[(pair, 6), (pair, 6)]).await;
    let problem = refused.refused(409, "insufficient_stock");
    assert_eq!(
        problem["shortages"],
        json!([{"product_id": pair, "requested": 12, "available": 10}])
    );
    let bought = admin
        .buy(&[(pair, 6), (ACME_KEYBOARD, 1), (pair, 4)])
        .await
        .ok(201);
    assert_eq!(bought["items"].as_array().unwrap().len(), 2);
    assert_eq!(bought["items"][0]["quantity"], 10);
    assert_eq!(bought["items"][0]["line_total"], "30.00");
    assert_eq!(bought["items"][1]["product_id"], json!(ACME_KEYBOARD));
    assert_eq!(bought["total_amount"], "80.00");
    assert_eq!(on_hand(&admin, pair).await, 0);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_lines_fit_into_one_purchase_and_are_sold_together() {
    let service = Service::start().await;
    let staff = service.staff();
    let mut items = vec![(ACME_KEYBOARD, 1); 20];
    items.resize(
        500,
        (service.admin().add_product("PIN", "0.10", 480).await, 1),
    );
    let bought = staff.buy(&items).await;
    let refused = bought.refused(409, "credit_limit_exceeded");
    assert_eq!(refused["amount"], "1048.00");
    let bought = staff.buy(&items[2..]).await.ok(201);
    assert_eq!(bought["total_amount"], "948.00");
    items.push((ACME_KEYBOARD, 1));
    staff.buy(&items).await.refused(422, "validation_failed");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_for_each_customer_counts_what_it_has_bought_before() {
    let service = Service::start().await;
    let admin = service.admin();
    let ticket = limited_product(&admin, "TICKET", 4).await;
    let other = admin.add_customer("Other", "1000.00").await;

    admin.buy(&[(ticket, 2), (ticket, 1)]).await.ok(201);
    let refused = admin.buy(&[(ticket, 1), (ticket, 1)]).await;
    let problem = refused.refused(409, "purchase_limit_reached");
    assert_eq!(problem["limit"], 4);
    assert_eq!(problem["bought"], 3);
    assert_eq!(problem["requested"], 2);
    // Each customer has a limit of their own.
    let theirs = admin.buy_for(other, &[(ticket, 4)]).await.ok(201);
    admin.buy(&[(ticket, 1)]).await.ok(201);
    let refused = admin.buy(&[(ticket, 1)]).await;
    refused.refused(409, "purchase_limit_reached");

    // Cancelled orders do not count, and removing the limit takes effect at once.
    let cancel = format!(
        "/api/orders/{}/cancel",
        theirs["order_id"].as_str().unwrap()
    );
    admin.post(&cancel, &json!({})).await.ok(200);
    admin.buy_for(other, &[(ticket, 4)]).await.ok(201);
    let unlimited = json!({"limit_per_customer": null});
    admin.patch(&of_product(ticket), &unlimited).await.ok(200);
    admin.buy(&[(ticket, 5)]).await.ok(201);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_is_the_products_and_a_quote_must_be_up_to_date() {
    let service = Service::start().await;
    let admin = service.admin();
    let quoted = json!({"customer_id": ACME_CUSTOMER, "items": [
        {"product_id": ACME_HEADPHONES, "quantity": 1, "unit_price": "100.00"},
    ]});
    let receipt = admin.post("/api/purchase", &quoted).await.ok(201);
    assert_eq!(receipt["total_amount"], "100.00");
    let dearer = json!({"price": "120.50"});
    admin
        .patch(&of_product(ACME_HEADPHONES), &dearer)
        .await
        .ok(200);
    let refused = admin.post("/api/purchase", &quoted).await;
    let problem = refused.refused(409, "price_changed");
    assert_eq!(problem["current"], "120.50");
    let receipt = admin.buy(&[(ACME_HEADPHONES, 2)]).await.ok(201);
    assert_eq!(receipt["total_amount"], "241.00");
    // An earlier order keeps its price.
    let first = orders(&admin, "?limit=2").await;
    let first = admin.get(&of_order(&first[1])).await.ok(200);
    assert_eq!(first["items"][0]["unit_price"], "100.00");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_or_a_lowered_limit_stops_the_next_purchase() {
    let service = Service::start().await;
    let admin = service.admin();
    admin.buy(&[(ACME_HEADPHONES, 5)]).await.ok(201);
    let at = of_customer(ACME_CUSTOMER);
    let change = async |body: Value| admin.patch(&at, &body).await.ok(200);

    change(json!({"on_hold": true})).await;
    let refused = service.customer().buy(&[(ACME_KEYBOARD, 1)]).await;
    refused.refused(409, "customer_on_hold");
    change(json!({"on_hold": false, "credit_limit": "300.00"})).await;
    let refused = admin.buy(&[(ACME_KEYBOARD, 1)]).await;
    let problem = refused.refused(409, "credit_limit_exceeded");
    assert_eq!(problem["available_credit"], "-200.00");
    change(json!({"credit_limit": "550.00"})).await;
    admin.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_buys_for_itself_and_for_nobody_else() {
    let service = Service::start().await;
    let neighbour = service.admin().add_customer("Neighbour", "1000.00").await;
    let customer = service.customer();
    let items = json!([{"product_id": ACME_KEYBOARD, "quantity": 1}]);

    let receipt = customer
        .post("/api/purchase", &json!({"items": items}))
        .await;
    assert_eq!(receipt.ok(201)["customer_id"], json!(ACME_CUSTOMER));
    customer.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);

    let before = footprint(&service).await;
    for other in [neighbour, GLOBEX_CUSTOMER, CustomerId::new()] {
        let refused = customer.buy_for(other, &[(ACME_KEYBOARD, 1)]).await;
        let problem = refused.refused(404, "customer_not_found");
        assert_eq!(problem["customer_id"], json!(other));
    }
    // Staff must name a customer; null does not count as one.
    for body in [
        json!({"items": items}),
        json!({"customer_id": null, "items": items}),
    ] {
        let refused = service.staff().post("/api/purchase", &body).await;
        let problem = refused.refused(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "/customer_id");
    }
    assert_eq!(footprint(&service).await, before);
}

/// Sums and counts of everything that a purchase can change.
async fn footprint(service: &Service) -> String {
    let sql = "SELECT (SELECT sum(balance) FROM customers), (SELECT sum(on_hand) FROM inventory),
                      (SELECT sum(reserved) FROM inventory),
                      (SELECT count(*) FROM orders), (SELECT count(*) FROM order_items),
                      (SELECT count(*) FROM ledger_entries), (SELECT count(*) FROM stock_movements),
                      (SELECT count(*) FROM audit_events), (SELECT count(*) FROM idempotency_keys)";
    service.database.value(sql).await
}

pub(crate) fn of_customer(id: CustomerId) -> String {
    format!("/api/customers/{id}")
}

fn of_product(id: ProductId) -> String {
    format!("/api/products/{id}")
}

pub(crate) fn of_order(id: &str) -> String {
    format!("/api/orders/{id}")
}

async fn on_hand(client: &Client, product: ProductId) -> i64 {
    let stock = client.get(&format!("/api/inventory/{product}")).await;
    stock.ok(200)["on_hand"].as_i64().unwrap()
}

async fn balance(client: &Client, customer: CustomerId) -> String {
    let customer = client.get(&of_customer(customer)).await.ok(200);
    customer["balance"].as_str().unwrap().to_owned()
}

async fn limited_product(admin: &Client, sku: &str, limit: i64) -> ProductId {
    let body = json!({"sku": sku, "name": sku, "price": "1.00", "stock": 100, "limit_per_customer": limit});
    let added = admin.post("/api/products", &body).await.ok(201);
    added["id"].as_str().unwrap().parse().unwrap()
}

/// Ids of the orders on the first page of a list.
pub(crate) async fn orders(client: &Client, query: &str) -> Vec<String> {
    let page = client.get(&format!("/api/orders{query}")).await.ok(200);
    let rows = page["data"].as_array().unwrap();
    rows.iter()
        .map(|row| row["order_id"].as_str().unwrap().to_owned())
        .collect()
}
