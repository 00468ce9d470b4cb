//! These tests check idempotency keys: a retry returns the original response unchanged and executes nothing.

use domain::Authority;
use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD, GLOBEX};
use domain::foundation::idempotency;
use entity::{CustomerId, UserId};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::json;
use sha2::Sha256;
use tests::{Client, Reply, SECRET, SERVICE, Service, all, books_balance, purchase};

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_purchase_is_answered_byte_for_byte_and_sold_once() {
    let service = Service::start().await;
    let staff = service.staff();
    let first = staff.buy_once("order-1", &[(ACME_KEYBOARD, 2)]).await;
    first.ok(201);
    assert_eq!(first.header("idempotency-replayed"), "");
    // The stored response does not change with the price or the stock.
    staff.buy(&[(ACME_KEYBOARD, 1)]).await.ok(201);
    let price = json!({"price": "75.00"});
    let product = format!("/api/products/{ACME_KEYBOARD}");
    service.admin().patch(&product, &price).await.ok(200);
    for _ in 0..3 {
        let again = staff.buy_once("order-1", &[(ACME_KEYBOARD, 2)]).await;
        is_replay(&again, &first);
    }
    assert_eq!(service.orders().await, 2);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_is_answered_even_when_it_could_not_be_sold_any_more() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let last = admin.add_product("LAST", "10.00", 1).await;
    let first = staff.buy_once("k", &[(last, 1)]).await;
    first.ok(201);
    let gone = json!({"active": false});
    admin
        .patch(&format!("/api/products/{last}"), &gone)
        .await
        .ok(200);
    let stopped = json!({"on_hold": true, "credit_limit": "0.00"});
    admin
        .patch(&format!("/api/customers/{ACME_CUSTOMER}"), &stopped)
        .await
        .ok(200);
    is_replay(&staff.buy_once("k", &[(last, 1)]).await, &first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_for_one_request_only() {
    let service = Service::start().await;
    let admin = service.admin();
    let other = admin.add_customer("Other", "1000.00").await;
    let first = admin.buy_once("k", &[(ACME_KEYBOARD, 1)]).await;
    first.ok(201);
    let customer = json!({"name": "New"});
    for (path, body) in [
        (
            "/api/purchase",
            purchase(ACME_CUSTOMER, &[(ACME_KEYBOARD, 2)]),
        ),
        ("/api/purchase", purchase(other, &[(ACME_KEYBOARD, 1)])),
        // The key is checked first, also for requests that would be rejected anyway.
        (
            "/api/purchase",
            purchase(ACME_CUSTOMER, &[(ACME_KEYBOARD, 1_000_000)]),
        ),
        (
            "/api/purchase",
            purchase(CustomerId::new(), &[(ACME_KEYBOARD, 1)]),
        ),
        ("/api/customers", customer),
        (
            "/api/products",
            json!({"sku": "NEW", "name": "New", "price": "1.00"}),
        ),
    ] {
        let refused = admin.post_once("k", path, &body).await;
        refused.refused(422, "idempotency_key_reused");
    }
    // Keys are case-sensitive.
    admin.buy_once("K", &[(ACME_KEYBOARD, 1)]).await.ok(201);
    is_replay(&admin.buy_once("k", &[(ACME_KEYBOARD, 1)]).await, &first);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_twins_at_the_same_moment_over_two_instances_are_one_order() {
    let (one, two) = Service::two().await;
    let staff = one.staff();
    for round in 0..5 {
        let before = one.orders().await;
        let key = format!("round-{round}");
        let replies = all((0..16).map(|number| {
            let staff = staff.at(if number % 2 == 0 { &one } else { &two });
            let key = key.clone();
            async move { staff.buy_once(&key, &[(ACME_KEYBOARD, 1)]).await }
        }))
        .await;
        same_answer_once(&replies);
        assert_eq!(one.orders().await, before + 1);
    }
    books_balance(&one).await;
    assert_eq!(one.database.deadlocks().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_different_requests_under_one_key_at_the_same_moment_one_is_done() {
    let (one, two) = Service::two().await;
    let admin = one.admin();
    let mut customers = Vec::new();
    for number in 0..8 {
        customers.push(admin.add_customer(&format!("C{number}"), "1000.00").await);
    }
    let mut products = Vec::new();
    for number in 0..8 {
        products.push(admin.add_product(&format!("P{number}"), "1.00", 10).await);
    }
    // The requests share neither customers nor products, so only the key makes them conflict.
    let replies = all((0..8).map(|number| {
        let staff = admin.at(if number % 2 == 0 { &one } else { &two });
        let body = purchase(customers[number], &[(products[number], 1)]);
        async move { staff.post_once("k", "/api/purchase", &body).await }
    }))
    .await;
    let done = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(done, 1);
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        reply.refused(422, "idempotency_key_reused");
    }
    assert_eq!(one.orders().await, 1);
    books_balance(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_its_caller_and_its_business() {
    let service = Service::start().await;
    let body = purchase(ACME_CUSTOMER, &[(ACME_KEYBOARD, 1)]);
    let user = UserId::new();
    let staff = service.caller_as(user, ACME, Authority::Staff);
    let first = staff.post_once("k", "/api/purchase", &body).await;
    let order = first.ok(201)["order_id"].clone();

    let colleague = service.staff().post_once("k", "/api/purchase", &body).await;
    assert_ne!(colleague.ok(201)["order_id"], order);
    assert_eq!(colleague.header("idempotency-replayed"), "");
    // The same user id in the other business, which does not have this customer.
    let stranger = service.caller_as(user, GLOBEX, Authority::Admin);
    let refused = stranger.post_once("k", "/api/purchase", &body).await;
    refused.refused(404, "customer_not_found");
    let new = json!({"name": "New"});
    let made = stranger.post_once("k", "/api/customers", &new).await;
    made.ok(201);
    assert_eq!(made.header("idempotency-replayed"), "");
    is_replay(&staff.post_once("k", "/api/purchase", &body).await, &first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_kept_so_the_same_request_may_succeed_later() {
    let service = Service::start().await;
    let (admin, staff) = (service.admin(), service.staff());
    let scarce = admin.add_product("SCARCE", "10.00", 0).await;
    for _ in 0..2 {
        let refused = staff.buy_once("k", &[(scarce, 3)]).await;
        refused.refused(409, "insufficient_stock");
    }
    let delivery = json!({"adjust": 3, "reason": "received"});
    admin
        .patch(&format!("/api/inventory/{scarce}"), &delivery)
        .await
        .ok(200);
    let sold = staff.buy_once("k", &[(scarce, 3)]).await;
    sold.ok(201);
    is_replay(&staff.buy_once("k", &[(scarce, 3)]).await, &sold);

    let body = json!({"sku": "SCARCE", "name": "Twin", "price": "1.00"});
    let refused = admin.post_once("p", "/api/products", &body).await;
    refused.refused(409, "already_exists");
    let renamed = json!({"sku": "SCARCE-2"});
    admin
        .patch(&format!("/api/products/{scarce}"), &renamed)
        .await
        .ok(200);
    admin.post_once("p", "/api/products", &body).await.ok(201);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_1_to_255_visible_ascii_characters() {
    let service = Service::start().await;
    let staff = service.staff();
    let body = purchase(ACME_CUSTOMER, &[(ACME_KEYBOARD, 1)]).to_string();
    let request = || {
        staff
            .request(Method::POST, "/api/purchase")
            .body(body.clone())
    };
    let bytes = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
    let long = "x".repeat(256);
    for bad in [
        &b""[..],
        b"two words",
        b"caf\xc3\xa9",
        b"a\tb",
        b"\xff",
        long.as_bytes(),
    ] {
        let refused = staff
            .send(request().header("Idempotency-Key", bytes(bad)))
            .await;
        let problem = refused.refused(422, "validation_failed");
        assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], "Idempotency-Key");
    }
    let two = request()
        .header("Idempotency-Key", "a")
        .header("Idempotency-Key", "b");
    staff.send(two).await.refused(422, "validation_failed");
    // An invalid key does not suppress other validation errors.
    let both = staff
        .request(Method::POST, "/api/purchase")
        .body("{}")
        .header("Idempotency-Key", "");
    let problem = staff.send(both).await.refused(422, "validation_failed");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2, "{problem}");
    assert_eq!(service.orders().await, 0);

    let every: String = ('!'..='~').collect();
    for good in [every.as_str(), "x", &long[1..]] {
        let sold = staff.send(request().header("Idempotency-Key", good)).await;
        sold.ok(201);
        is_replay(
            &staff.send(request().header("Idempotency-Key", good)).await,
            &sold,
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_and_products_are_made_once_too() {
    let (one, two) = Service::two().await;
    let admin = one.admin();
    for (path, body, other, table) in [
        (
            "/api/customers",
            json!({"name": "New", "credit_limit": "5.00"}),
            json!({"name": "Newer", "credit_limit": "5.00"}),
            "customers",
        ),
        (
            "/api/products",
            json!({"sku": "NEW", "name": "New", "price": "1.00", "stock": 7}),
            json!({"sku": "NEWER", "name": "New", "price": "1.00", "stock": 7}),
            "products",
        ),
    ] {
        let rows = async || -> i64 {
            let sql = format!("SELECT count(*) FROM {table}");
            one.database.value(&sql).await.parse().unwrap()
        };
        let before = rows().await;
        let key = format!("new-{table}");
        let replies = all((0..16).map(|number| {
            let admin = admin.at(if number % 2 == 0 { &one } else { &two });
            let (key, body) = (key.clone(), body.clone());
            async move { admin.post_once(&key, path, &body).await }
        }))
        .await;
        same_answer_once(&replies);
        assert_eq!(rows().await, before + 1, "{table}");
        let location = replies[0].header("location");
        admin.get(location).await.ok(200);
        let refused = admin.post_once(&key, path, &other).await;
        refused.refused(422, "idempotency_key_reused");
    }
    books_balance(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_older_than_25_hours_go_and_younger_ones_stay() {
    let service = Service::start().await;
    let (staff, stranger) = (service.staff(), service.stranger());
    let old = staff.buy_once("old", &[(ACME_KEYBOARD, 1)]).await;
    let young = staff.buy_once("young", &[(ACME_KEYBOARD, 1)]).await;
    let fresh = staff.buy_once("fresh", &[(ACME_KEYBOARD, 1)]).await;
    let new = json!({"name": "New"});
    let foreign = stranger.post_once("old", "/api/customers", &new).await;
    for (key, age) in [
        ("old", "25 hours 1 minute"),
        ("young", "24 hours 59 minutes"),
    ] {
        let sql = format!(
            "UPDATE idempotency_keys SET created_at = now() - interval '{age}' WHERE key = '{key}'"
        );
        service.database.execute(&sql).await;
    }
    // The rows exceed what one step of the deletion removes.
    let many = format!(
        "INSERT INTO idempotency_keys (business_id, caller_id, key, request_hash, status, body, created_at)
         SELECT '{ACME}', '{}', 'many-' || n, decode(repeat('00', 32), 'hex'), 201, '', now() - interval '3 days'
           FROM generate_series(1, 2500) AS n",
        UserId::new()
    );
    service.database.execute(&many).await;

    let as_service = domain::Database::new(&service.database.url(SERVICE), 2).unwrap();
    // Two processes delete at the same time; together they delete each row once.
    let (one, two) = tokio::join!(
        idempotency::delete_expired(&as_service, ACME),
        idempotency::delete_expired(&as_service, ACME)
    );
    assert_eq!(one.unwrap() + two.unwrap(), 2501);
    assert_eq!(
        idempotency::delete_expired(&as_service, ACME)
            .await
            .unwrap(),
        0
    );
    as_service.close().await;

    let keys = "SELECT key FROM idempotency_keys ORDER BY key";
    assert_eq!(
        service.database.column(keys).await,
        ["fresh", "old", "young"]
    );
    is_replay(
        &staff.buy_once("young", &[(ACME_KEYBOARD, 1)]).await,
        &young,
    );
    is_replay(
        &staff.buy_once("fresh", &[(ACME_KEYBOARD, 1)]).await,
        &fresh,
    );
    // Keys of the other business are not deleted by this call.
    is_replay(
        &stranger.post_once("old", "/api/customers", &new).await,
        &foreign,
    );
    let again = staff.buy_once("old", &[(ACME_KEYBOARD, 1)]).await;
    assert_ne!(again.ok(201)["order_id"], old.ok(201)["order_id"]);
    books_balance(&service).await;
}

/// Sends a POST with exactly this text as its body, under this key.
async fn post_text(client: &Client, key: &str, path: &str, text: &str) -> Reply {
    let request = client
        .request(Method::POST, path)
        .header("Idempotency-Key", key);
    client.send(request.body(text.to_owned())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_the_same_when_it_means_the_same() {
    let service = Service::start().await;
    let admin = service.admin();
    let path = "/api/purchase";
    let items = format!(r#"[{{"product_id":"{ACME_KEYBOARD}","quantity":2,"unit_price":50.00}}]"#);
    let first = format!(r#"{{"customer_id":"{ACME_CUSTOMER}","items":{items}}}"#);
    let first = post_text(&admin, "k", path, &first).await;
    first.ok(201);
    for same in [
        format!(r#"{{"items":{items},"customer_id":"{ACME_CUSTOMER}"}}"#),
        format!("{{\n  \"customer_id\": \"{ACME_CUSTOMER}\",\n\t\"items\": {items}\r\n}} "),
        format!(r#"{{"customer_id":"{ACME_CUSTOMER}","business_id":"{ACME}","items":{items}}}"#),
        format!(
            r#"{{"customer_\u0069d":"{ACME_CUSTOMER}","items":[{{"unit_price":50.0,"quantity":2,"product_id":"{ACME_KEYBOARD}"}}]}}"#
        ),
    ] {
        is_replay(&post_text(&admin, "k", path, &same).await, &first);
    }
    for other in [
        format!(
            r#"{{"customer_id":"{ACME_CUSTOMER}","items":[{{"product_id":"{ACME_KEYBOARD}","quantity":2,"unit_price":"50.00"}}]}}"#
        ),
        format!(
            r#"{{"customer_id":"{ACME_CUSTOMER}","items":[{{"product_id":"{ACME_KEYBOARD}","quantity":2}}]}}"#
        ),
        format!(
            r#"{{"customer_id":"{ACME_CUSTOMER}","items":[{{"product_id":"{ACME_KEYBOARD}","quantity":2,"unit_price":null}}]}}"#
        ),
    ] {
        let refused = post_text(&admin, "k", path, &other).await;
        refused.refused(422, "idempotency_key_reused");
    }
    // The order of a list is part of the request.
    let lines = |first, second| purchase(ACME_CUSTOMER, &[(first, 1), (second, 1)]).to_string();
    let one = post_text(&admin, "l", path, &lines(ACME_KEYBOARD, ACME_HEADPHONES)).await;
    one.ok(201);
    let other = post_text(&admin, "l", path, &lines(ACME_HEADPHONES, ACME_KEYBOARD)).await;
    other.refused(422, "idempotency_key_reused");
    // Where the body is optional, no body and an empty object are the same request.
    let order = one.ok(201)["order_id"].as_str().unwrap().to_owned();
    let cancel = format!("/api/orders/{order}/cancel");
    let cancelled = post_text(&admin, "c", &cancel, "").await;
    cancelled.ok(200);
    is_replay(&post_text(&admin, "c", &cancel, " { } ").await, &cancelled);
    books_balance(&service).await;
}

/// The request hash of earlier versions, which covered the body's bytes instead of its meaning.
fn former_hash(method: &str, path: &str, body: &str) -> String {
    let hmac = |key: &[u8], text: &[u8]| {
        let mut hmac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        hmac.update(text);
        hmac.finalize().into_bytes()
    };
    let key = hmac(SECRET.as_bytes(), b"tradeline: hashes of requests");
    let hash = hmac(&key, format!("{method}\0{path}\0{body}").as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes of a stored response what a version before step 21 would have inserted, which knew nothing of the new column.
fn as_before_step_21(key: &str, reply: &Reply) -> String {
    format!(
        "INSERT INTO idempotency_keys (business_id, caller_id, key, request_hash, status, location, body)
         SELECT business_id, caller_id, 'former', request_hash, {}, '{}', $body${}$body$
           FROM idempotency_keys WHERE key = '{key}';
         DELETE FROM idempotency_keys WHERE key = '{key}';
         UPDATE idempotency_keys SET key = '{key}' WHERE key = 'former'",
        reply.status,
        reply.header("location"),
        reply.text,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn during_an_upgrade_each_version_does_once_what_the_other_has_done() {
    let service = Service::start().await;
    let staff = service.staff();
    let name = json!({"name": "Zo\u{eb} \"Z\" O'Brien"});
    let body = json!({"items": [{"product_id": ACME_KEYBOARD, "quantity": 1}], "customer_id": ACME_CUSTOMER});
    for (key, path, body) in [
        ("sold", "/api/purchase", &body),
        ("added", "/api/customers", &name),
        ("held", "/api/reservations", &body),
    ] {
        let first = staff.post_once(key, path, body).await;
        first.ok(201);
        // An earlier version reads these columns alone, and acts by the key's row: it tells its client to come again.
        let read = format!(
            "SELECT status || (body::jsonb ->> 'code') FROM idempotency_keys WHERE key = '{key}'"
        );
        assert_eq!(service.database.value(&read).await, "500outcome_unknown");
        let earlier = as_before_step_21(key, &first);
        service.database.execute(&earlier).await;
        is_replay(&staff.post_once(key, path, body).await, &first);
    }
    // Of an order by card an earlier version kept the id alone, before its intent was made.
    let path = "/api/orders/checkout";
    let placed = staff.post_once("card", path, &body).await;
    let order = placed.ok(201)["order_id"].clone();
    let mut earlier = as_before_step_21("card", &placed);
    earlier = earlier.replace(&placed.text, &json!({"order_id": order}).to_string());
    service.database.execute(&earlier).await;
    is_replay(&staff.post_once("card", path, &body).await, &placed);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_response_that_cannot_be_read_is_an_error_and_nothing_is_done() {
    let service = Service::start().await;
    let staff = service.staff();
    let first = staff.buy_once("k", &[(ACME_KEYBOARD, 1)]).await;
    first.ok(201);
    for bytes in ["", "ff", "01", "0100c8ffff"] {
        let spoil = format!(
            "UPDATE idempotency_keys SET response = decode('{bytes}', 'hex') WHERE key = 'k'"
        );
        service.database.execute(&spoil).await;
        let again = staff.buy_once("k", &[(ACME_KEYBOARD, 1)]).await;
        let _ = again.refused(500, "internal_error");
    }
    assert_eq!(service.orders().await, 1);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_an_earlier_version_kept_is_given_again() {
    let service = Service::start().await;
    let staff = service.staff();
    let payment =
        |amount: &str| json!({"customer_id": ACME_CUSTOMER, "amount": amount, "method": "cash"});
    for (key, path, body, other) in [
        (
            "sold",
            "/api/purchase",
            purchase(ACME_CUSTOMER, &[(ACME_KEYBOARD, 1)]),
            purchase(ACME_CUSTOMER, &[(ACME_KEYBOARD, 2)]),
        ),
        ("paid", "/api/payments", payment("1.00"), payment("2.00")),
    ] {
        let first = staff.post_once(key, path, &body).await;
        first.ok(201);
        let former = former_hash("POST", path, &body.to_string());
        let sql = format!(
            "UPDATE idempotency_keys SET request_hash = decode('{former}', 'hex') WHERE key = '{key}'"
        );
        service.database.execute(&sql).await;
        is_replay(&staff.post_once(key, path, &body).await, &first);
        let refused = staff.post_once(key, path, &other).await;
        refused.refused(422, "idempotency_key_reused");
    }
    books_balance(&service).await;
}

/// Asserts that the second response is a replay of the first.
fn is_replay(again: &Reply, first: &Reply) {
    assert_eq!(again.text, first.text);
    assert_eq!(again.status, first.status);
    for header in ["location", "content-type"] {
        assert_eq!(again.header(header), first.header(header), "{header}");
    }
    assert_eq!(again.header("idempotency-replayed"), "true");
}

/// Asserts that all responses are the same success, and that all but one are replays.
fn same_answer_once(replies: &[Reply]) {
    for reply in replies {
        assert_eq!(reply.ok(201), replies[0].ok(201));
        assert_eq!(reply.text, replies[0].text);
        assert_eq!(reply.header("location"), replies[0].header("location"));
    }
    let replayed = replies
        .iter()
        .filter(|reply| reply.header("idempotency-replayed") == "true");
    assert_eq!(replayed.count(), replies.len() - 1);
}
