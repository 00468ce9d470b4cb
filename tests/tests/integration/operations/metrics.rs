//! These tests check `/metrics`: it informs operators and reveals nothing about users.

use std::collections::{BTreeMap, BTreeSet};

use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES};
use reqwest::Method;
use serde_json::{Value, json};
use tests::program::{Folder, Program, token};
use uuid::Uuid;

/// One line of the page: name, labels and value.
type Series = (String, BTreeMap<String, String>, f64);

/// Reads and parses the page; a malformed line panics.
async fn series(program: &Program) -> Vec<Series> {
    let (status, page) = program.get("/metrics", None).await;
    assert_eq!(status, 200);
    let lines = page.lines().filter(|line| !line.is_empty());
    lines
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = labels.strip_suffix('}').unwrap();
            let labels = labels.split_terminator("\",").map(|label| {
                let (name, value) = label.split_once("=\"").unwrap();
                (name.to_owned(), value.trim_end_matches('"').to_owned())
            });
            (name.to_owned(), labels.collect(), value.parse().unwrap())
        })
        .collect()
}

/// The sum of all series with this name and at least these labels.
fn total(page: &[Series], name: &str, labels: &[(&str, &str)]) -> f64 {
    let has = |of: &BTreeMap<String, String>| {
        let mut wanted = labels.iter();
        wanted.all(|(label, value)| of.get(*label).is_some_and(|other| other == value))
    };
    let matching = page
        .iter()
        .filter(|(other, of, _)| other == name && has(of));
    matching.map(|(_, _, value)| value).sum()
}

fn purchase(quantity: u32) -> Value {
    json!({"customer_id": ACME_CUSTOMER, "items": [{"product_id": ACME_HEADPHONES, "quantity": quantity}]})
}

fn login(password: &str) -> Value {
    json!({"business": "acme", "email": "admin@example.com", "password": password})
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_refusals_and_logins_are_counted_by_route_and_outcome() {
    let folder = Folder::open();
    let program = Program::start(&folder).await;
    let staff = token(&folder, &["--role", "staff"]);
    let before = series(&program).await;
    for (quantity, status) in [(1, 201), (2, 201), (1_000_000, 409)] {
        let reply = program
            .post("/api/purchase", Some(&staff), &purchase(quantity))
            .await;
        assert_eq!(reply.0, status, "{}", reply.1);
    }
    for (password, status) in [("admin123", 200), ("wrong password", 401)] {
        let reply = program
            .post("/api/auth/login", None, &login(password))
            .await;
        assert_eq!(reply.0, status, "{}", reply.1);
    }
    let after = series(&program).await;
    let grown = |name: &str, labels: &[(&str, &str)]| {
        total(&after, name, labels) - total(&before, name, labels)
    };
    for (route, status, count) in [
        ("/api/purchase", "201", 2.0),
        ("/api/purchase", "409", 1.0),
        ("/api/auth/login", "200", 1.0),
        ("/api/auth/login", "401", 1.0),
    ] {
        let labels = [("method", "POST"), ("route", route), ("status", status)];
        assert_eq!(
            grown("tradeline_http_requests_total", &labels),
            count,
            "{labels:?}"
        );
    }
    let sales = [("method", "POST"), ("route", "/api/purchase")];
    assert_eq!(grown("tradeline_http_request_seconds_count", &sales), 3.0);
    let seconds = grown("tradeline_http_request_seconds_sum", &sales);
    assert!((0.000_1..30.0).contains(&seconds), "{seconds}");
    // Each request came alone, so each batch has one command.
    for (name, count) in [
        ("tradeline_desk_batch_size_count", 3.0),
        ("tradeline_desk_batch_size_sum", 3.0),
        ("tradeline_desk_batch_seconds_count", 3.0),
    ] {
        assert_eq!(grown(name, &[]), count, "{name}");
    }
    assert_eq!(total(&after, "tradeline_desk_waiting", &[]), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_have_no_ids_and_no_client_can_make_time_series() {
    let folder = Folder::open();
    let program = Program::start(&folder).await;
    let staff = token(&folder, &["--role", "staff"]);
    let rounds = async || {
        for path in [
            format!("/api/customers/{}", Uuid::now_v7()),
            format!("/api/orders?customer_id={}", Uuid::now_v7()),
            format!("/api/hunter{}/{}", Uuid::now_v7().simple(), Uuid::now_v7()),
            format!("/hunter{}", Uuid::now_v7().simple()),
            "/api/products?business=acme&q=hunter2".to_owned(),
        ] {
            let _ = program.get(&path, Some(&staff)).await;
            let _ = program.get(&path, None).await;
        }
        for method in ["BREW", "HUNTER"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let url = format!("{}/api/orders", program.base);
            let request = reqwest::Client::new().request(method, url);
            let request = request.header("x-request-id", "hunter3");
            assert_eq!(request.send().await.unwrap().status(), 405);
        }
        let _ = program
            .post("/api/auth/login", None, &login("hunter4"))
            .await;
        let _ = program
            .post("/api/purchase", Some(&staff), &purchase(1))
            .await;
        series(&program).await
    };
    let names = |page: &[Series]| -> BTreeSet<(String, BTreeMap<String, String>)> {
        let kept = page
            .iter()
            .map(|(name, labels, _)| (name.clone(), labels.clone()));
        kept.collect()
    };
    // The first page does not yet contain the request that reads it.
    let _ = rounds().await;
    let (first, second) = (rounds().await, rounds().await);
    assert_eq!(names(&first), names(&second));

    let (_, document) = program.get("/openapi.json", None).await;
    let document: Value = serde_json::from_str(&document).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let others = [
        "unmatched",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/docs/{_:.*}",
    ];
    let mut seen = 0;
    for (name, labels, _) in &second {
        assert!(name.starts_with("tradeline_"), "{name}");
        for (label, value) in labels {
            let is_known = match label.as_str() {
                "method" => [
                    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "other",
                ]
                .contains(&value.as_str()),
                "route" => paths.contains_key(value) || others.contains(&value.as_str()),
                "status" => value.parse::<u16>().is_ok(),
                "le" => value == "+Inf" || value.parse::<f64>().is_ok(),
                _ => false,
            };
            assert!(is_known, "{name}: {label}={value:?}");
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
    let (_, page) = program.get("/metrics", None).await;
    for secret in [
        "hunter",
        "acme",
        "example.com",
        &ACME.to_string(),
        &ACME_CUSTOMER.to_string(),
    ] {
        assert!(
            !page.to_lowercase().contains(secret),
            "{secret} is in\n{page}"
        );
    }
}
