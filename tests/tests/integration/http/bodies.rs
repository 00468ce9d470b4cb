//! These tests check request bodies as a whole: the response names each fault and its place, and nothing has changed.

use std::io::Write;

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES, ACME_KEYBOARD};
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde_json::json;
use tests::{Reply, Route, Untouched, customer_path, pointers, sorted, stock_path};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_is_malformed_on_every_route() {
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
            if body.is_empty() && !route.needs_body() {
                continue;
            }
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
        // The same member name in two spellings.
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
async fn all_faults_are_reported_at_once_each_with_its_pointer() {
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
async fn fields_that_a_client_must_not_choose_are_unknown() {
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
async fn a_body_beyond_256_kib_is_refused_whole_announced_or_not() {
    let it = Untouched::start().await;
    let problem = it
        .purchase("x".repeat(10 * 1024 * 1024))
        .await
        .refused(413, "payload_too_large");
    assert_eq!(problem["max_bytes"], 256 * 1024);
    // The body is chunked, so that no header announces its length.
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
    // The limit is exact to the byte; trailing white space is valid JSON.
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
    // The server may or may not respond, but it must not execute the purchase.
    let _ = stream.read_to_string(&mut answer).await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
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
async fn a_valid_request_id_of_the_client_is_used() {
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

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Sends a purchase with these values of `Content-Encoding`.
async fn encoded(it: &Untouched, codings: &[&str], body: Vec<u8>) -> Reply {
    let mut request = it.admin.request(Method::POST, "/api/purchase").body(body);
    for coding in codings {
        request = request.header("content-encoding", *coding);
    }
    it.admin.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gzip_body_is_read_as_what_it_holds() {
    let it = Untouched::start().await;
    let good = json!({"customer_id": ACME_CUSTOMER,
                      "items": [{"product_id": ACME_KEYBOARD, "quantity": 1}]})
    .to_string();
    let (start, end) = good.as_bytes().split_at(10);
    let two_members = [gzip(start), gzip(end)].concat();
    for (codings, body) in [
        (&["gzip"][..], gzip(good.as_bytes())),
        (&["GZip"], gzip(good.as_bytes())),
        (&["x-gzip"], gzip(good.as_bytes())),
        (&["identity, gzip"], gzip(good.as_bytes())),
        (&["identity"], good.clone().into_bytes()),
        (&[""], good.clone().into_bytes()),
        (&["gzip"], two_members),
    ] {
        encoded(&it, codings, body).await.ok(201);
    }
    // A compressed retry is the same request for its idempotency key.
    let once = |request: reqwest::RequestBuilder| request.header("idempotency-key", "once");
    let request = it.admin.request(Method::POST, "/api/purchase");
    let first = once(request).body(good.clone());
    let first = it.admin.send(first).await;
    first.ok(201);
    let request = it.admin.request(Method::POST, "/api/purchase");
    let again = once(request).header("content-encoding", "gzip");
    let again = it.admin.send(again.body(gzip(good.as_bytes()))).await;
    assert_eq!(again.text, first.text);
    assert_eq!(again.header("idempotency-replayed"), "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_an_encoding_that_is_not_read_is_415_and_says_which_are() {
    let it = Untouched::start().await;
    let body = json!({"customer_id": ACME_CUSTOMER, "items": []}).to_string();
    for codings in [
        &["br"][..],
        &["deflate"],
        &["zstd"],
        &["nonsense"],
        &["gzip, gzip"],
        &["gzip", "br"],
        &["\u{e9}"],
    ] {
        let reply = encoded(&it, codings, gzip(body.as_bytes())).await;
        let problem = reply.refused(415, "unsupported_encoding");
        assert_eq!(problem["encodings"], json!(["gzip"]), "{codings:?}");
        assert_eq!(reply.header("accept-encoding"), "gzip, identity");
    }
    // A webhook's signature covers the bytes as sent, so its body is never decompressed.
    let request = it
        .service
        .nobody()
        .request(Method::POST, "/api/webhooks/stripe")
        .header("content-encoding", "gzip")
        .header("stripe-signature", "t=1,v1=00");
    let reply = it.admin.send(request.body(gzip(b"{}"))).await;
    let problem = reply.refused(415, "unsupported_encoding");
    assert_eq!(problem["encodings"], json!([]));
    assert_eq!(reply.header("accept-encoding"), "identity");
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gzip_body_is_decompressed_to_256_kib_and_no_further() {
    let it = Untouched::start().await;
    let good = json!({"customer_id": ACME_CUSTOMER, "items": []}).to_string();
    let padded = |length: usize| format!("{good}{}", " ".repeat(length - good.len())).into_bytes();
    let reply = encoded(&it, &["gzip"], gzip(&padded(256 * 1024))).await;
    assert_eq!(pointers(&reply), ["/items"]);
    let bomb = gzip(&vec![b' '; 200 * 1024 * 1024]);
    assert!(bomb.len() < 256 * 1024, "{} bytes", bomb.len());
    for body in [gzip(&padded(256 * 1024 + 1)), bomb] {
        let problem = encoded(&it, &["gzip"], body).await;
        let problem = problem.refused(413, "payload_too_large");
        assert_eq!(problem["max_bytes"], 256 * 1024);
    }
    let whole = gzip(good.as_bytes());
    let mut spoilt = whole.clone();
    spoilt[15] ^= 0xff;
    for bad in [
        b"{}".to_vec(),
        Vec::new(),
        whole[..whole.len() - 4].to_vec(),
        spoilt,
    ] {
        let _ = encoded(&it, &["gzip"], bad)
            .await
            .refused(400, "malformed_json");
    }
    it.check().await;
}
