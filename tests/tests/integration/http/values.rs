//! What a member of a body may be: every bad value is refused where it stands, and nothing has changed.

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD};
use reqwest::Method;
use serde_json::json;
use tests::{Service, Untouched, customer_path, pointers, sorted, stock_path};

#[tokio::test(flavor = "multi_thread")]
async fn quantities_are_whole_numbers_from_one_to_a_million() {
    let it = Untouched::start().await;
    for quantity in [
        "0",
        "-1",
        "-0",
        "1000001",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "1e2",
        "1E0",
        "1.0",
        "1.5",
        "0.5",
        "2.0000000000000000001",
        "1e999999999",
        "\"1\"",
        "null",
        "true",
        "[1]",
        "{\"value\": 1}",
        "\"\"",
        "99999999999999999999999999999999999999999999999999999999999999999999",
    ] {
        let body = format!(
            r#"{{"customer_id": "{ACME_CUSTOMER}", "items": [{{"product_id": "{ACME_HEADPHONES}", "quantity": {quantity}}}]}}"#
        );
        let reply = it.purchase(body).await;
        assert_eq!(reply.status, 422, "{quantity}: {}", reply.text);
        assert_eq!(pointers(&reply), ["/items/0/quantity"], "{quantity}");
    }
    // Each line is good, and only together they ask for more than any line may: that is a matter of stock.
    let million = json!({"product_id": ACME_HEADPHONES, "quantity": 1_000_000});
    let body = json!({"customer_id": ACME_CUSTOMER, "items": vec![million; 500]});
    let refused = it
        .purchase(body.to_string())
        .await
        .refused(409, "insufficient_stock");
    assert_eq!(refused["shortages"][0]["requested"], 500_000_000);
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_are_plain_decimals_that_their_column_and_currency_can_hold() {
    let it = Untouched::start().await;
    let bad = [
        "-1",
        "-0.01",
        "\"-1\"",
        "1000000000000000",
        "\"1000000000000000\"",
        "9999999999999999",
        "99999999999999999999999999999999999999",
        "1.005",
        "\"1.001\"",
        "\"0.00001\"",
        "1e2",
        "1E2",
        "1e-2",
        "\"1e2\"",
        "\"\"",
        "\" 1\"",
        "\"1 \"",
        "\"+1\"",
        "\"1,00\"",
        "\"1.\"",
        "\".5\"",
        "\"1.2.3\"",
        "\"0x10\"",
        "\"1_000\"",
        "\"\u{0661}\"",
        "\"NaN\"",
        "\"Infinity\"",
        "\"--1\"",
        "\"-\"",
        "true",
        "[]",
        "{}",
        "\"100.00 USD\"",
        "1e400",
        "\"1\\u0000\"",
    ];
    for amount in bad {
        let body = format!(r#"{{"sku": "X", "name": "X", "price": {amount}}}"#);
        let reply = it.send(Method::POST, "/api/products", body).await;
        assert_eq!(reply.status, 422, "price {amount}: {}", reply.text);
        assert_eq!(pointers(&reply), ["/price"], "{amount}");
        let body = format!(r#"{{"credit_limit": {amount}}}"#);
        let reply = it.send(Method::PATCH, &customer_path(), body).await;
        assert_eq!(reply.status, 422, "credit_limit {amount}: {}", reply.text);
        assert_eq!(pointers(&reply), ["/credit_limit"], "{amount}");
        let reply = it
            .purchase(format!(
                r#"{{"items": [{{"product_id": "{ACME_HEADPHONES}", "quantity": 1, "unit_price": {amount}}}],
                     "customer_id": "{ACME_CUSTOMER}"}}"#
            ))
            .await;
        assert_eq!(pointers(&reply), ["/items/0/unit_price"], "{amount}");
    }
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_amounts_are_kept_to_the_last_digit_and_buy_nothing_by_overflow() {
    let service = Service::start().await;
    let admin = service.admin();
    let largest = "999999999999999.99";
    for (sku, price) in [
        ("AS-TEXT", json!(largest)),
        ("AS-NUMBER", serde_json::from_str(largest).unwrap()),
    ] {
        let body = json!({"sku": sku, "name": sku, "price": price, "stock": 1_000_000});
        let added = admin.post("/api/products", &body).await.ok(201);
        assert_eq!(added["price"], largest, "{sku}");
        let product = added["id"].as_str().unwrap().parse().unwrap();
        let rich = admin.add_customer("Rich", largest).await;
        let before = service.database.digest().await;
        for lines in [
            vec![(product, 1_000_000)],
            vec![(product, 2)],
            vec![(product, 1), (product, 1)],
        ] {
            let refused = admin.buy_for(rich, &lines).await;
            let body = refused.refused(409, "credit_limit_exceeded");
            assert_eq!(body["credit_limit"], largest, "{body}");
        }
        assert_eq!(service.database.digest().await, before);
        let receipt = admin.buy_for(rich, &[(product, 1)]).await.ok(201);
        assert_eq!(receipt["total_amount"], largest);
        assert_eq!(receipt["available_credit"], "0.00");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_has_its_bounds_and_no_control_characters() {
    let it = Untouched::start().await;
    let long = "x".repeat(201);
    for name in [
        "",
        " ",
        "\u{0}",
        "a\u{0}b",
        "a\nb",
        "a\tb",
        "a\u{7f}",
        "a\u{85}b",
        "\u{1b}[31m",
        "\r\n",
        &long,
    ] {
        let reply = it
            .admin
            .post("/api/customers", &json!({"name": name}))
            .await;
        assert_eq!(pointers(&reply), ["/name"], "{name:?}");
        let reply = it
            .admin
            .patch(&customer_path(), &json!({"name": name}))
            .await;
        assert_eq!(pointers(&reply), ["/name"], "{name:?}");
        let body = json!({"sku": name, "name": name, "price": "1"});
        let reply = it.admin.post("/api/products", &body).await;
        assert_eq!(sorted(pointers(&reply)), ["/name", "/sku"], "{name:?}");
        let body = json!({"set": 1, "reason": "stocktake", "note": name.repeat(3)});
        let reply = it.admin.patch(&stock_path(), &body).await;
        assert_eq!(pointers(&reply), ["/note"], "{name:?}");
        let body = json!({"business": name, "email": name.repeat(2), "password": ""});
        let reply = it.admin.post("/api/auth/login", &body).await;
        assert_eq!(
            sorted(pointers(&reply)),
            ["/business", "/email", "/password"],
            "{name:?}"
        );
    }
    for email in [
        "",
        "x",
        "@",
        "a@",
        "@b",
        "a@b@c",
        "a b@c",
        "a@..",
        "a@b..c",
        ".a@b",
        "a@-b.c",
        "a@b_c",
        "a@127.0.0.1",
        "a\u{200b}@b",
        "a\u{202e}@b",
        "a@b\u{0}",
        "a\n@b",
        &format!("{}@b", "a".repeat(253)),
    ] {
        let reply = it
            .admin
            .post("/api/customers", &json!({"name": "X", "email": email}))
            .await;
        assert_eq!(pointers(&reply), ["/email"], "{email:?}");
    }
    let body = json!({"sku": "X", "name": "X", "price": "1", "description": "a\u{0}"});
    assert_eq!(
        pointers(&it.admin.post("/api/products", &body).await),
        ["/description"]
    );
    let body = json!({"sku": "X", "name": "X", "price": "1", "description": "é".repeat(5001)});
    assert_eq!(
        pointers(&it.admin.post("/api/products", &body).await),
        ["/description"]
    );
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_has_a_character_that_nobody_sees() {
    let it = Untouched::start().await;
    for hidden in [
        "\u{ad}",
        "\u{200b}",
        "\u{200f}",
        "\u{202e}",
        "\u{2066}",
        "\u{2028}",
        "\u{3164}",
        "\u{feff}",
        "\u{e0041}",
        "a\u{200d}b",
        "a\u{fe0f}",
    ] {
        let name = format!("Ac{hidden}me");
        let reply = it
            .admin
            .post("/api/customers", &json!({"name": name}))
            .await;
        assert_eq!(pointers(&reply), ["/name"], "{name:?}");
        let message = reply.json()["errors"][0]["message"].clone();
        assert!(message.as_str().unwrap().contains(" U+"), "{message}");
        let body = json!({"sku": name, "name": name, "description": name, "price": "1"});
        let reply = it.admin.post("/api/products", &body).await;
        assert_eq!(
            sorted(pointers(&reply)),
            ["/description", "/name", "/sku"],
            "{name:?}"
        );
        let body = json!({"set": 1, "reason": "stocktake", "note": name});
        let reply = it.admin.patch(&stock_path(), &body).await;
        assert_eq!(pointers(&reply), ["/note"], "{name:?}");
    }
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_kept_in_one_form_without_the_spaces_around_it() {
    let service = Service::start().await;
    let admin = service.admin();
    let body = json!({"name": "  Cafe\u{301} am See\u{3000}"});
    let made = admin.post("/api/customers", &body).await.ok(201);
    assert_eq!(made["name"], "Caf\u{e9} am See");
    let body = json!({"sku": " Cafe\u{301}-1 ", "name": "x", "price": "1",
                      "description": "\nAngstro\u{308}m:\n1 "});
    let made = admin.post("/api/products", &body).await.ok(201);
    assert_eq!(made["sku"], "Caf\u{e9}-1");
    assert_eq!(made["description"], "Angstr\u{f6}m:\n1");
    // A decomposed letter is one character of the 200, as it is kept.
    let name = "e\u{301}".repeat(200);
    let made = admin
        .post("/api/customers", &json!({"name": name}))
        .await
        .ok(201);
    assert_eq!(made["name"], "\u{e9}".repeat(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_any_script_comes_back_as_it_was_sent() {
    let service = Service::start().await;
    let admin = service.admin();
    // Characters are counted, not bytes; quotes and markup are nobody's concern.
    for name in [
        "👩‍👩‍👧".repeat(25),
        "Ω".repeat(200),
        "'; DROP TABLE orders; --".to_owned(),
        "<b>\"&amp;\\".to_owned(),
        "$1 %s {} \\u0000".to_owned(),
        "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}".to_owned(),
        "\u{915}\u{94d}\u{200d}\u{937}".to_owned(),
        "\u{845b}\u{e0100}".to_owned(),
    ] {
        assert!(name.chars().count() <= 200);
        let added = admin.post("/api/customers", &json!({"name": name})).await;
        let read = admin.get(added.header("location")).await.ok(200);
        assert_eq!(read["name"], json!(name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_has_from_one_to_500_lines() {
    let it = Untouched::start().await;
    for count in [0, 501, 2000] {
        let line = json!({"product_id": ACME_HEADPHONES, "quantity": 1});
        let body = json!({"customer_id": ACME_CUSTOMER, "items": vec![line; count]});
        let reply = it.purchase(body.to_string()).await;
        assert_eq!(pointers(&reply), ["/items"], "{count}");
    }
    it.check().await;
    let line = json!({"product_id": ACME_KEYBOARD, "quantity": 1});
    let rich = it.admin.add_customer("Rich", "25000.00").await;
    let body = json!({"customer_id": rich, "items": vec![line; 500]});
    let receipt = it.purchase(body.to_string()).await.ok(201);
    assert_eq!(receipt["items"].as_array().unwrap().len(), 1);
    assert_eq!(receipt["items"][0]["quantity"], 500);
    assert_eq!(receipt["total_amount"], "25000.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_needs_to_say_who_and_what() {
    let it = Untouched::start().await;
    let items = json!([{"product_id": ACME_HEADPHONES, "quantity": 1}]);
    let reply = it.purchase(json!({"items": items}).to_string()).await;
    assert_eq!(pointers(&reply), ["/customer_id"]);
    let reply = it
        .purchase(json!({"customer_id": null, "items": items}).to_string())
        .await;
    assert_eq!(pointers(&reply), ["/customer_id"]);
    let reply = it
        .purchase(json!({"customer_id": ACME_CUSTOMER}).to_string())
        .await;
    assert_eq!(pointers(&reply), ["/items"]);
    for id in [
        "",
        "x",
        &ACME_CUSTOMER.to_string().replace('-', ""),
        "550e8400-e29b-41d4-a716-44665544000g",
        &format!("{{{ACME_CUSTOMER}}}"),
        &format!("urn:uuid:{ACME_CUSTOMER}"),
        &format!(" {ACME_CUSTOMER}"),
    ] {
        let reply = it
            .purchase(json!({"customer_id": id, "items": items}).to_string())
            .await;
        assert_eq!(pointers(&reply), ["/customer_id"], "{id}");
        let reply = it.line(json!({"product_id": id, "quantity": 1})).await;
        assert_eq!(pointers(&reply), ["/items/0/product_id"], "{id}");
    }
    it.check().await;
}
