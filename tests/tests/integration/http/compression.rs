//! These tests check gzip compression of responses: only on request, only where it saves bytes, and with the same
//! content.

use std::io::Read;

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES};
use flate2::read::GzDecoder;
use reqwest::Method;
use tests::{Client, Service, purchase};

/// Sends a GET that accepts gzip. Returns the headers and the content, decompressed if necessary.
async fn zipped(client: &Client, path: &str, accept: &str) -> (reqwest::header::HeaderMap, String) {
    let request = client
        .request(Method::GET, path)
        .header("accept-encoding", "gzip")
        .header("accept", accept);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let headers = response.headers().clone();
    let bytes = response.bytes().await.unwrap();
    let mut text = String::new();
    match headers.get("content-encoding") {
        Some(coding) => {
            assert_eq!(coding, "gzip");
            GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
            assert!(bytes.len() < text.len(), "{path}");
        }
        None => text = String::from_utf8(bytes.to_vec()).unwrap(),
    }
    (headers, text)
}

fn varies(headers: &reqwest::header::HeaderMap) -> bool {
    let named = headers.get_all("vary").iter();
    let mut named = named.flat_map(|value| value.to_str().unwrap().split(','));
    named.any(|name| name.trim().eq_ignore_ascii_case("accept-encoding"))
}

#[tokio::test(flavor = "multi_thread")]
async fn large_responses_are_compressed_on_request_without_a_change() {
    let service = Service::start().await;
    let admin = service.admin();
    for number in 0..20 {
        admin
            .add_customer(&format!("Customer {number}"), "5.00")
            .await;
    }
    admin.buy(&[(ACME_HEADPHONES, 1)]).await.ok(201);
    for (path, accept) in [
        ("/api/customers", "application/json"),
        ("/openapi.json", "*/*"),
        ("/docs/swagger-ui.css", "*/*"),
        ("/api/customers/overdue?days=0", "text/csv"),
        ("/api/reports/aging?as_of=2020-01-01", "text/csv"),
    ] {
        let (headers, content) = zipped(&admin, path, accept).await;
        assert_eq!(headers["content-encoding"], "gzip", "{path}");
        assert!(varies(&headers), "{path}: {headers:?}");
        let plain = admin.request(Method::GET, path).header("accept", accept);
        let plain = admin.send(plain).await;
        assert_eq!(plain.header("content-encoding"), "", "{path}");
        assert!(varies(&plain.headers), "{path}: {:?}", plain.headers);
        assert_eq!(content, plain.text, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_small_nothing_that_was_refused_and_no_answer_to_a_change_is_compressed() {
    let service = Service::start().await;
    let admin = service.admin();
    let (headers, _) = zipped(&admin, "/healthz", "*/*").await;
    assert!(!headers.contains_key("content-encoding"), "{headers:?}");
    let lines: Vec<_> = (0..200).map(|_| (ACME_HEADPHONES, 1_000_000)).collect();
    for (path, body, status) in [
        ("/api/purchase", purchase(ACME_CUSTOMER, &lines), 409),
        (
            "/api/products",
            serde_json::json!({"sku": "LONG", "name": "x", "price": "1", "description": "x".repeat(5000)}),
            201,
        ),
    ] {
        let request = admin
            .request(Method::POST, path)
            .header("accept-encoding", "gzip")
            .body(body.to_string());
        let reply = admin.send(request).await;
        assert_eq!(reply.status, status, "{}", reply.text);
        assert_eq!(reply.header("content-encoding"), "", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_is_never_compressed() {
    let service = Service::start().await;
    let path = format!("/api/products/{ACME_HEADPHONES}/availability/stream");
    let admin = service.admin();
    let request = admin
        .request(Method::GET, &path)
        .header("accept-encoding", "gzip");
    let reply = admin.send(request).await;
    assert_eq!(reply.header("content-type"), "text/event-stream");
    assert_eq!(reply.header("content-encoding"), "");
    assert!(reply.text.contains("available"), "{}", reply.text);
}
