//! Tests of requests: valid ones, and the responses to invalid ones.

use std::io::{Read, Write};
use std::net::TcpStream;

use actix_web::test::TestRequest;
use actix_web::{HttpServer, web};
use domain::Authority;
use serde_json::{Value, json};

use super::{BUSINESS, app, send, staff, token};

#[actix_web::test]
async fn a_good_request_reaches_its_handler() {
    let body = json!({"name": "x", "quantity": 2, "price": "1.5", "business_id": BUSINESS});
    let request = TestRequest::post()
        .uri("/api/things")
        .insert_header(("X-Request-Id", "my-id"))
        .insert_header(("X-Business-Id", BUSINESS))
        .insert_header(("Idempotency-Key", "k1"));
    let reply = send(staff(request).set_payload(body.to_string())).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert_eq!(
        reply.body,
        json!({"name": "x", "quantity": 2, "price": "1.50", "key": "k1"})
    );
    assert_eq!(reply.header("location"), "/api/things/1");
    assert_eq!(reply.header("x-request-id"), "my-id");
    assert_eq!(reply.header("content-type"), "application/json");
}

#[actix_web::test]
async fn every_fault_of_a_body_is_reported_at_once() {
    let request = staff(TestRequest::post().uri("/api/things"))
        .insert_header(("Idempotency-Key", "not one key"))
        .set_payload(r#"{"quantity": 0, "price": "x", "business_id": 7, "extra": 1}"#);
    let reply = send(request).await;
    let errors = &reply.problem(422, "validation_failed")["errors"];
    let pointers: Vec<_> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|error| &error["pointer"])
        .collect();
    assert_eq!(
        pointers,
        [
            "/business_id",
            "Idempotency-Key",
            "/name",
            "/quantity",
            "/price",
            "/extra"
        ]
    );
}

#[actix_web::test]
async fn a_body_that_is_no_json_is_malformed() {
    for text in ["", "{", "{\"name\": \"a\", \"name\": \"b\"}"] {
        let reply = send(staff(TestRequest::post().uri("/api/things")).set_payload(text)).await;
        reply.problem(400, "malformed_json");
    }
}

#[actix_web::test]
async fn an_action_needs_no_body() {
    let admin = token(Authority::Admin, 60);
    let uri = format!("/api/things/{BUSINESS}/cancel");
    for (text, status) in [("", 204), ("{}", 204), ("{\"x\": 1}", 422), ("no", 400)] {
        let request = TestRequest::post()
            .uri(&uri)
            .insert_header(("Authorization", admin.clone()));
        assert_eq!(
            send(request.set_payload(text)).await.status,
            status,
            "{text}"
        );
    }
}

#[actix_web::test]
async fn unknown_paths_and_methods_are_problems() {
    for uri in [
        "/nowhere",
        "/api/nowhere",
        "/api",
        "/api/things/",
        "/docs/nothing.js",
    ] {
        let reply = send(TestRequest::get().uri(uri)).await;
        let body = reply.problem(404, "not_found");
        assert_eq!(body["instance"], uri);
    }
    let reply = send(TestRequest::delete().uri("/api/things")).await;
    reply.problem(405, "method_not_allowed");
    assert!(reply.header("allow").contains("GET") && reply.header("allow").contains("POST"));
    let reply = send(TestRequest::post().uri("/api/open")).await;
    reply.problem(405, "method_not_allowed");
    assert_eq!(reply.header("allow"), "GET, HEAD");
}

#[actix_web::test]
async fn an_id_that_is_none_is_an_id_that_nobody_has() {
    let reply = send(staff(TestRequest::get().uri("/api/things/nonsense"))).await;
    assert_eq!(
        reply.problem(404, "customer_not_found")["customer_id"],
        "nonsense"
    );
    let reply = send(staff(
        TestRequest::get().uri(&format!("/api/things/{BUSINESS}")),
    ))
    .await;
    assert_eq!(
        reply.problem(404, "customer_not_found")["customer_id"],
        BUSINESS
    );
    let reply = send(staff(TestRequest::get().uri("/api/things/special"))).await;
    assert_eq!(
        reply.body,
        json!({"special": true}),
        "a literal path comes before a parameter"
    );
}

#[actix_web::test]
async fn queries_are_strict() {
    let reply = send(staff(
        TestRequest::get().uri("/api/things?limit=0&cursor=*&x=1"),
    ))
    .await;
    let errors = &reply.problem(422, "validation_failed")["errors"];
    assert_eq!(errors.as_array().unwrap().len(), 3);
    let reply = send(staff(TestRequest::get().uri("/api/things?limit=1"))).await;
    assert_eq!(reply.body["data"][0]["price"], "0.00");
    assert_eq!(reply.body["next_cursor"], Value::Null);
}

#[actix_web::test]
async fn request_ids_are_taken_over_only_if_they_are_plain() {
    for bad in ["", "a b", "ü", &"x".repeat(129)] {
        let reply = send(
            TestRequest::get()
                .uri("/metrics")
                .insert_header(("X-Request-Id", bad)),
        )
        .await;
        assert_eq!(reply.header("x-request-id").len(), 36, "{bad}");
    }
    let longest = "x".repeat(128);
    let request = TestRequest::get()
        .uri("/nowhere")
        .insert_header(("X-Request-Id", longest.as_str()));
    assert_eq!(
        send(request).await.problem(404, "not_found")["request_id"],
        longest
    );
}

#[actix_web::test]
async fn a_panic_is_a_500_without_its_words() {
    let reply = send(TestRequest::get().uri("/api/broken")).await;
    assert!(
        !reply
            .problem(500, "internal_error")
            .to_string()
            .contains("secret_x")
    );
}

/// The response to a client that sends its whole body before it reads.
fn send_slowly(address: std::net::SocketAddr, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[actix_web::test]
async fn a_large_body_gets_its_413_while_it_is_still_being_sent() {
    let server = HttpServer::new(app)
        .workers(1)
        .bind(("127.0.0.1", 0))
        .unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    let serving = actix_web::rt::spawn(server);
    let megabytes = 10 * 1024 * 1024;
    let head = |rest: String| {
        let token = token(Authority::Staff, 60);
        format!(
            "POST /api/things HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {token}\r\n{rest}\r\n\r\n"
        )
    };
    let announced = head(format!("Content-Length: {megabytes}"));
    let chunked = head("Transfer-Encoding: chunked".to_owned());
    let mut chunks = format!("{megabytes:x}\r\n").into_bytes();
    chunks.resize(chunks.len() + megabytes, b' ');
    chunks.extend(b"\r\n0\r\n\r\n");
    let unsigned =
        format!("POST /api/things HTTP/1.1\r\nHost: x\r\nContent-Length: {megabytes}\r\n\r\n");
    let answers = web::block(move || {
        let body = vec![b' '; megabytes];
        [
            send_slowly(address, &announced, &body),
            send_slowly(address, &chunked, &chunks),
            send_slowly(address, &unsigned, &body),
        ]
    });
    let [announced, chunked, unsigned] = answers.await.unwrap();
    for answer in [announced, chunked] {
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer:.200}");
        assert!(answer.contains("\"payload_too_large\""));
    }
    assert!(unsigned.starts_with("HTTP/1.1 401"), "{unsigned:.200}");
    handle.stop(false).await;
    serving.await.unwrap().unwrap();
}
