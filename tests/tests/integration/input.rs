//! Whatever is sent, the answer says what is wrong and where, and nothing has changed.

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Client, Reply, Route, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

/// A service, an admin of it, and its database as it was.
struct Untouched {
    service: Service,
    admin: Client,
    before: Vec<Value>,
}

impl Untouched {
    async fn start() -> Self {
        let service = Service::start().await;
        Self {
            admin: service.admin(),
            before: service.database.digest().await,
            service,
        }
    }

    async fn check(&self) {
        assert_eq!(self.service.database.digest().await, self.before);
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        let request = self.admin.request(method, path).body(body);
        self.admin.send(request).await
    }

    /// As whoever may do the most with the route.
    async fn send_to(&self, route: &Route, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        let client = route.best_caller(&self.service);
        let request = client.request(route.method.clone(), path).body(body);
        client.send(request).await
    }

    async fn purchase(&self, body: impl Into<reqwest::Body>) -> Reply {
        self.send(Method::POST, "/api/purchase", body).await
    }

    /// A purchase of one line.
    async fn line(&self, line: Value) -> Reply {
        let body = json!({"customer_id": ACME_CUSTOMER, "items": [line]});
        self.purchase(body.to_string()).await
    }
}

/// Where the faults are, in order.
fn pointers(reply: &Reply) -> Vec<String> {
    let body = reply.refused(422, "validation_failed");
    let faults = body["errors"].as_array().unwrap().iter();
    faults
        .map(|fault| {
            assert!(!fault["message"].as_str().unwrap().is_empty(), "{body}");
            fault["pointer"].as_str().unwrap().to_owned()
        })
        .collect()
}

fn sorted(mut pointers: Vec<String>) -> Vec<String> {
    pointers.sort();
    pointers
}

fn customer_path() -> String {
    format!("/api/customers/{ACME_CUSTOMER}")
}

fn stock_path() -> String {
    format!("/api/inventory/{ACME_HEADPHONES}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_json_is_malformed_on_every_route_with_a_body() {
    let it = Untouched::start().await;
    let routes = Route::all(&it.service).await;
    let bad: [&[u8]; 16] = [
        b"",
        b" ",
        b"{",
        b"{\"items\": [}",
        b"{'name': 'x'}",
        b"{\"name\": \"x\",}",
        b"{\"name\": \"x\"} {}",
        b"name=x",
        b"\xff\xfe{}",
        b"{\"name\": \"\xc3\x28\"}",
        b"{\"name\": \"\\ud800\"}",
        b"{\"name\": \"a\nb\"}",
        b"{\"price\": 01}",
        b"{\"price\": NaN}",
        b"{\"price\": .5}",
        b"{\"name\": \"x\", \"name\": \"x\"}",
    ];
    let mut tried = 0;
    for route in routes.iter().filter(|route| route.has_body()) {
        let path = route.with_id(&ACME_HEADPHONES.to_string());
        for body in bad {
            let reply = it.send_to(route, &path, body).await;
            let what = String::from_utf8_lossy(body).into_owned();
            assert_eq!(
                reply.status,
                400,
                "{} {what:?}: {}",
                route.name(),
                reply.text
            );
            let _ = reply.refused(400, "malformed_json");
        }
        tried += 1;
    }
    assert!(tried >= 8, "{tried}");
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_appears_twice_is_refused_however_deep_it_is() {
    let it = Untouched::start().await;
    for body in [
        format!(
            r#"{{"customer_id": "{ACME_CUSTOMER}", "customer_id": "{ACME_CUSTOMER}", "items": []}}"#
        ),
        format!(
            r#"{{"items": [{{"product_id": "{ACME_HEADPHONES}", "quantity": 1, "quantity": 1000}}]}}"#
        ),
        // The same name in two spellings.
        format!(
            r#"{{"items": [{{"product_id": "{ACME_HEADPHONES}", "quantity": 1, "quantit\u0079": 9}}]}}"#
        ),
    ] {
        let problem = it.purchase(body).await.refused(400, "malformed_json");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("twice"), "{problem}");
    }
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_nesting_is_refused_and_costs_no_stack() {
    let it = Untouched::start().await;
    for depth in [200, 50_000, 130_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let depth = depth.min(250_000 / (open.len() + 1));
            let body = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            assert!(body.len() < 256 * 1024);
            let _ = it.purchase(body).await.refused(400, "malformed_json");
            let _ = it
                .purchase(open.repeat(depth))
                .await
                .refused(400, "malformed_json");
        }
    }
    it.check().await;
    assert_eq!(it.service.nobody().get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_object_is_a_fault_of_the_whole() {
    let it = Untouched::start().await;
    for body in ["[]", "null", "1", "\"x\"", "true", "[{\"items\": []}]"] {
        assert_eq!(pointers(&it.purchase(body).await), [""], "{body}");
    }
    it.check().await;
}

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
async fn text_of_any_script_comes_back_as_it_was_sent() {
    let service = Service::start().await;
    let admin = service.admin();
    // Characters are counted, not bytes; quotes and markup are nobody's concern.
    for name in [
        "👩‍👩‍👧".repeat(25),
        "Ω".repeat(200),
        "'; DROP TABLE orders; --".to_owned(),
        "<b>\"&amp;\\".to_owned(),
        "\u{202e}desrever".to_owned(),
        "$1 %s {} \\u0000".to_owned(),
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
async fn all_faults_are_told_at_once_each_with_its_pointer() {
    let it = Untouched::start().await;
    let body = json!({
        "customer_id": "me",
        "items": [
            {"product_id": "that", "quantity": 0, "unit_price": "1.001"},
            {"product_id": ACME_HEADPHONES, "quantity": 1},
            {"quantity": 1.5},
            7,
            {"product_id": ACME_HEADPHONES, "quantity": 1, "qty": 2, "a/b~c": 1},
        ],
        "business_id": "acme",
        "coupon": "X",
    });
    let request = it
        .admin
        .request(Method::POST, "/api/purchase")
        .header("idempotency-key", "two words")
        .body(body.to_string());
    let reply = it.admin.send(request).await;
    let expected = [
        "/business_id",
        "/coupon",
        "/customer_id",
        "/items/0/product_id",
        "/items/0/quantity",
        "/items/0/unit_price",
        "/items/2/product_id",
        "/items/2/quantity",
        "/items/3",
        "/items/4/a~1b~0c",
        "/items/4/qty",
        "Idempotency-Key",
    ];
    assert_eq!(sorted(pointers(&reply)), expected);

    let body = json!({"sku": "", "name": 1, "description": 2, "price": "x", "stock": -1,
                      "limit_per_customer": 0, "active": "yes", "colour": "red"});
    let reply = it.admin.post("/api/products", &body).await;
    let expected = [
        "/active",
        "/colour",
        "/description",
        "/limit_per_customer",
        "/name",
        "/price",
        "/sku",
        "/stock",
    ];
    assert_eq!(sorted(pointers(&reply)), expected);

    let body = json!({"name": "", "email": "x", "credit_limit": -1, "payment_terms_days": 366,
                      "on_hold": 1, "balance": "0"});
    let reply = it.admin.post("/api/customers", &body).await;
    let expected = [
        "/balance",
        "/credit_limit",
        "/email",
        "/name",
        "/on_hold",
        "/payment_terms_days",
    ];
    assert_eq!(sorted(pointers(&reply)), expected);
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_must_not_choose_is_an_unknown_field() {
    let it = Untouched::start().await;
    for (method, path, body, field) in [
        (
            Method::POST,
            "/api/customers".to_owned(),
            json!({"name": "X", "id": Uuid::nil()}),
            "/id",
        ),
        (
            Method::POST,
            "/api/customers".to_owned(),
            json!({"name": "X", "balance": "-5"}),
            "/balance",
        ),
        (
            Method::PATCH,
            customer_path(),
            json!({"balance": "0.00"}),
            "/balance",
        ),
        (
            Method::POST,
            "/api/products".to_owned(),
            json!({"sku": "X", "name": "X", "price": 1, "currency": "EUR"}),
            "/currency",
        ),
        (
            Method::PATCH,
            format!("/api/products/{ACME_HEADPHONES}"),
            json!({"stock": 5}),
            "/stock",
        ),
        (
            Method::PATCH,
            stock_path(),
            json!({"set": 5, "reason": "found", "reserved": 0}),
            "/reserved",
        ),
        (
            Method::POST,
            "/api/purchase".to_owned(),
            json!({"customer_id": ACME_CUSTOMER,
            "items": [{"product_id": ACME_HEADPHONES, "quantity": 1}], "total_amount": "1.00"}),
            "/total_amount",
        ),
        (
            Method::POST,
            "/api/purchase".to_owned(),
            json!({"customer_id": ACME_CUSTOMER, "Items": [],
            "items": [{"product_id": ACME_HEADPHONES, "quantity": 1}]}),
            "/Items",
        ),
    ] {
        let reply = it.send(method, &path, body.to_string()).await;
        assert_eq!(pointers(&reply), [field], "{path}");
    }
    it.check().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_256_kib_is_refused_whole_announced_or_not() {
    let it = Untouched::start().await;
    let problem = it
        .purchase("x".repeat(10 * 1024 * 1024))
        .await
        .refused(413, "payload_too_large");
    assert_eq!(problem["max_bytes"], 256 * 1024);
    // Chunked, so that no header says how much will come.
    let address = it.service.base.trim_start_matches("http://").to_owned();
    let token = tests::signed(
        &tests::claims(domain::demo::ACME, domain::Authority::Admin),
        tests::SECRET,
    );
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /api/purchase HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..16 {
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(
        answer.contains("\"code\":\"payload_too_large\""),
        "{answer}"
    );
    // To the byte: white space is JSON too.
    let good = json!({"customer_id": ACME_CUSTOMER, "items": []}).to_string();
    let padded = |length: usize| format!("{good}{}", " ".repeat(length - good.len()));
    assert_eq!(pointers(&it.purchase(padded(256 * 1024)).await), ["/items"]);
    let _ = it
        .purchase(padded(256 * 1024 + 1))
        .await
        .refused(413, "payload_too_large");
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_breaks_off_changes_nothing() {
    let it = Untouched::start().await;
    let address = it.service.base.trim_start_matches("http://").to_owned();
    let token = tests::signed(
        &tests::claims(domain::demo::ACME, domain::Authority::Admin),
        tests::SECRET,
    );
    let body = json!({"customer_id": ACME_CUSTOMER, "items": [{"product_id": ACME_HEADPHONES, "quantity": 1}]}).to_string();
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let request = format!(
        "POST /api/purchase HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len() + 1
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    // An answer or none: either way it was not taken for a purchase.
    let _ = stream.read_to_string(&mut answer).await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_refuses_bad_limits_bad_cursors_and_unknown_parameters() {
    let it = Untouched::start().await;
    let routes = Route::all(&it.service).await;
    let has = |route: &Route, name: &str| {
        let parameters = route.operation["parameters"].as_array().unwrap();
        parameters.iter().any(|parameter| parameter["name"] == name)
    };
    let mut lists = 0;
    for route in routes.iter().filter(|route| has(route, "cursor")) {
        let client = if route.operation["x-roles"] == json!(["customer"]) {
            it.service.customer()
        } else {
            it.admin.clone()
        };
        let id = if route.has_id() {
            route.id_at_acme("")
        } else {
            String::new()
        };
        let path = route.with_id(&id);
        for (query, pointer) in [
            ("limit=0", "?limit"),
            ("limit=201", "?limit"),
            ("limit=-1", "?limit"),
            ("limit=", "?limit"),
            ("limit=1.0", "?limit"),
            ("limit=%2B1", "?limit"),
            ("limit=99999999999999999999", "?limit"),
            ("limit=1&limit=1", "?limit"),
            ("cursor=", "?cursor"),
            ("cursor=%00", "?cursor"),
            ("cursor=!!!", "?cursor"),
            ("cursor=eA", "?cursor"),
            ("cursor=eA==", "?cursor"),
            ("cursor=____", "?cursor"),
            ("cursor=AAAA", "?cursor"),
            ("cursor=JyBPUiAxPTE", "?cursor"),
            ("cursor=eA&cursor=eA", "?cursor"),
            ("Limit=1", "?Limit"),
            ("typo=1", "?typo"),
            ("typo=1&typo=2", "?typo"),
            ("=1", "?"),
            ("offset=10", "?offset"),
        ] {
            let reply = client.get(&format!("{path}?{query}")).await;
            assert_eq!(reply.status, 422, "{path}?{query}: {}", reply.text);
            assert_eq!(pointers(&reply), [pointer], "{path}?{query}");
        }
        let reply = client
            .get(&format!("{path}?limit=x&cursor=!&a=1&b=2"))
            .await;
        assert_eq!(sorted(pointers(&reply)), ["?a", "?b", "?cursor", "?limit"]);
        let reply = client.get(&format!("{path}?limit=%FF")).await;
        assert!(!pointers(&reply).is_empty());
        for limit in ["1", "200"] {
            let reply = client.get(&format!("{path}?limit={limit}")).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
        }
        lists += 1;
    }
    assert!(lists >= 7, "{lists}");
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_one_list_opens_no_other_by_force() {
    let it = Untouched::start().await;
    let overdue = it.admin.get("/api/customers/overdue?limit=1").await.ok(200);
    let cursor = overdue["next_cursor"].as_str().unwrap();
    for path in [
        "/api/customers",
        "/api/products",
        "/api/orders",
        "/api/inventory",
    ] {
        let reply = it.admin.get(&format!("{path}?cursor={cursor}")).await;
        assert_eq!(pointers(&reply), ["?cursor"], "{path}");
    }
    let customers = it.admin.get("/api/customers?limit=1").await.ok(200);
    let cursor = customers["next_cursor"].as_str().unwrap();
    let reply = it
        .admin
        .get(&format!("/api/customers/overdue?cursor={cursor}"))
        .await;
    assert_eq!(pointers(&reply), ["?cursor"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_without_a_query_takes_no_parameter() {
    let it = Untouched::start().await;
    let routes = Route::all(&it.service).await;
    let mut tried = 0;
    for route in &routes {
        let takes = route.operation["parameters"].as_array().unwrap();
        if takes.iter().any(|parameter| parameter["in"] == "query") || route.path.contains("login")
        {
            continue;
        }
        let path = route.with_id(&ACME_HEADPHONES.to_string());
        let body = if route.has_body() {
            route.good_body().to_string()
        } else {
            String::new()
        };
        let reply = it
            .send_to(route, &format!("{path}?dry_run=true"), body)
            .await;
        assert_eq!(pointers(&reply), ["?dry_run"], "{}", route.name());
        tried += 1;
    }
    assert!(tried > 8, "{tried}");
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_say_what_they_take() {
    let it = Untouched::start().await;
    for (query, pointer) in [
        ("status=lost", "?status"),
        ("status=Approved", "?status"),
        ("status=", "?status"),
        ("customer_id=x", "?customer_id"),
        ("payment_method=cash", "?payment_method"),
        ("created_from=yesterday", "?created_from"),
        ("created_from=2026-01-01", "?created_from"),
        ("created_to=2026-13-01T00:00:00Z", "?created_to"),
        ("created_to=1767225600", "?created_to"),
    ] {
        let reply = it.admin.get(&format!("/api/orders?{query}")).await;
        assert_eq!(pointers(&reply), [pointer], "{query}");
    }
    // The ends of what can be written are dates too.
    for query in [
        "created_from=0000-01-01T00:00:00Z",
        "created_from=9999-12-31T23:59:60Z",
        "created_to=9999-12-31T23:59:59.999999999Z",
        "created_from=2026-01-01T00:00:00%2B23:59",
        "created_to=0000-01-01T00:00:00%2B23:59",
    ] {
        let reply = it.admin.get(&format!("/api/orders?{query}")).await;
        assert_eq!(reply.status, 200, "{query}: {}", reply.text);
    }
    for query in ["q=", "q=%00", "q=a%0Ab", "sku=", "q=%20"] {
        let reply = it.admin.get(&format!("/api/products?{query}")).await;
        assert_eq!(pointers(&reply).len(), 1, "{query}");
    }
    let long = "x".repeat(201);
    let reply = it
        .admin
        .get(&format!("/api/products?q={long}&sku={long}"))
        .await;
    assert_eq!(sorted(pointers(&reply)), ["?q", "?sku"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_id_that_is_no_uuid_is_an_id_that_nobody_has() {
    let it = Untouched::start().await;
    let routes = Route::all(&it.service).await;
    let mut tried = 0;
    for route in routes.iter().filter(|route| route.has_id()) {
        for id in [
            "1".to_owned(),
            "null".to_owned(),
            Uuid::nil().to_string(),
            Uuid::max().to_string(),
            ACME_HEADPHONES.to_string().replace('-', ""),
            "%00".to_owned(),
            "%27%20OR%201=1".to_owned(),
            "%F0%9F%98%80".to_owned(),
            "%FF%FE".to_owned(),
            "..%2F..".to_owned(),
            "x".repeat(3000),
        ] {
            let reply = route.send(&it.admin, &id).await;
            assert_eq!(reply.status, 404, "{} {id}: {}", route.name(), reply.text);
            let code = reply.json()["code"].as_str().unwrap().to_owned();
            assert!(code.ends_with("not_found"), "{code}");
            let _ = reply.refused(404, &code);
        }
        tried += 1;
    }
    assert!(tried >= 8);
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_path_is_404_and_a_wrong_method_405_with_those_that_are_allowed() {
    let it = Untouched::start().await;
    for path in [
        "/",
        "/api",
        "/api/",
        "/api/nothing",
        "/api/products/",
        "/API/products",
        "/api//products",
        "/api/products/a/b",
        "/openapi.yaml",
        "/.env",
        "/api/../healthz/x",
        "/api/customers%2F",
    ] {
        for client in [&it.admin, &it.service.nobody()] {
            let reply = client.get(path).await;
            assert_eq!(reply.status, 404, "{path}: {}", reply.text);
            let _ = reply.refused(404, "not_found");
        }
    }
    let routes = Route::all(&it.service).await;
    let mut tried = 0;
    for route in &routes {
        let path = route.with_id(&ACME_HEADPHONES.to_string());
        let allowed: Vec<&Method> = routes
            .iter()
            .filter(|other| other.path == route.path)
            .map(|other| &other.method)
            .collect();
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
            Method::TRACE,
            Method::from_bytes(b"BREW").unwrap(),
        ] {
            if allowed.contains(&&method) {
                continue;
            }
            let reply = it.send(method.clone(), &path, "{}").await;
            // `/api/customers/overdue` with another method is no customer's id.
            assert_eq!(reply.status, 405, "{method} {path}: {}", reply.text);
            let _ = reply.refused(405, "method_not_allowed");
            let mut named: Vec<&str> = reply.header("allow").split(',').map(str::trim).collect();
            named.sort_unstable();
            let mut expected: Vec<&str> = allowed.iter().map(|method| method.as_str()).collect();
            expected.sort_unstable();
            assert_eq!(named, expected, "{method} {path}");
            tried += 1;
        }
    }
    assert!(tried > 80, "{tried}");
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_is_one_to_255_visible_characters() {
    let it = Untouched::start().await;
    let body = json!({"name": "Once", "price": "1", "sku": "ONCE"}).to_string();
    let send = async |keys: &[&[u8]]| {
        let mut request = it
            .admin
            .request(Method::POST, "/api/products")
            .body(body.clone());
        for key in keys {
            request = request.header("idempotency-key", *key);
        }
        it.admin.send(request).await
    };
    let long = "k".repeat(256);
    for keys in [
        &[b"".as_slice()][..],
        &[b"two words"],
        &["é".as_bytes()],
        &[b"\xff"],
        &[b"a\tb"],
        &[long.as_bytes()],
        &[b"one", b"two"],
        &[b"one", b"one"],
    ] {
        assert_eq!(pointers(&send(keys).await), ["Idempotency-Key"], "{keys:?}");
    }
    it.check().await;
    assert_eq!(send(&[&long.as_bytes()[1..]]).await.status, 201);
    let again = send(&[&long.as_bytes()[1..]]).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_is_taken_over_where_it_is_fit_to_be_logged() {
    let it = Untouched::start().await;
    let send = async |id: &[u8]| {
        let request = it
            .admin
            .request(Method::GET, "/api/nothing")
            .header("x-request-id", id);
        it.admin.send(request).await
    };
    for good in ["abc", "A-1_2/3", &"r".repeat(128)] {
        assert_eq!(send(good.as_bytes()).await.header("x-request-id"), good);
    }
    for bad in [
        &b"two words"[..],
        b"",
        "é".as_bytes(),
        b"\xff",
        "r".repeat(129).as_bytes(),
    ] {
        let reply = send(bad).await;
        let made = reply.refused(404, "not_found");
        assert!(
            made["request_id"].as_str().unwrap().parse::<Uuid>().is_ok(),
            "{made}"
        );
    }
}
