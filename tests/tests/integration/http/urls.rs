//! These tests check URLs: an invalid path, id or query is rejected, and nothing has changed.

use domain::demo::{ACME_CUSTOMER, ACME_HEADPHONES};
use reqwest::Method;
use serde_json::json;
use tests::{Route, Untouched, pointers, sorted};
use uuid::Uuid;

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
        let id = match route.path.starts_with("/api/customers") {
            true => ACME_CUSTOMER.to_string(),
            false => ACME_HEADPHONES.to_string(),
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
    let lists = [
        "/api/customers",
        "/api/customers?sort=name",
        "/api/customers/overdue",
        "/api/customers/overdue?by=order_date",
        "/api/customers?updated_since=2020-01-01",
        "/api/products",
        "/api/products?updated_since=2020-01-01",
        "/api/orders",
        "/api/orders?sort=created_at",
        "/api/orders?sort=due_at&unpaid=true",
        "/api/orders?updated_since=2020-01-01",
        "/api/inventory",
        "/api/users",
    ];
    let with = |list: &str, more: &str| match list.contains('?') {
        true => format!("{list}&{more}"),
        false => format!("{list}?{more}"),
    };
    let mut cursors = Vec::new();
    for list in lists {
        let page = it.admin.get(&with(list, "limit=1")).await.ok(200);
        if let Some(cursor) = page["next_cursor"].as_str() {
            cursors.push((list, cursor.to_owned()));
        }
    }
    assert!(cursors.len() >= 8, "{cursors:?}");
    for (list, cursor) in &cursors {
        let path = |list: &str| list.split('?').next().map(str::to_owned);
        for other in lists {
            // A cursor of changes goes on without `updated_since`.
            if list.contains("updated_since") && *list != other && path(list) == path(other) {
                continue;
            }
            let reply = it
                .admin
                .get(&with(other, &format!("cursor={cursor}")))
                .await;
            match *list == other {
                true => assert_eq!(reply.status, 200, "{other}: {}", reply.text),
                false => assert_eq!(pointers(&reply), ["?cursor"], "{list} to {other}"),
            }
        }
    }
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
        ("created_from=2026-1-01", "?created_from"),
        ("created_to=2026-02-29", "?created_to"),
        ("created_to=2026-13-01T00:00:00Z", "?created_to"),
        ("created_to=1767225600", "?created_to"),
        // Times that RFC 3339 in UTC, or the database, cannot represent.
        ("created_to=0000-01-01T00:00:00%2B23:59", "?created_to"),
        ("created_from=9999-12-31T23:59:60Z", "?created_from"),
    ] {
        let reply = it.admin.get(&format!("/api/orders?{query}")).await;
        assert_eq!(pointers(&reply), [pointer], "{query}");
    }
    // The first and the last representable times are valid.
    for query in [
        "created_from=0000-01-01T00:00:00Z",
        "created_from=2016-12-31T23:59:60Z",
        "created_to=9999-12-31T23:59:59.999999999Z",
        "created_from=2026-01-01T00:00:00%2B23:59",
        "created_to=0000-01-01T23:59:00%2B23:59",
        "created_from=0000-01-01&created_to=9999-12-31",
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
            let reply = route.send(&route.best_caller(&it.service), &id).await;
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
        "/nothing",
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
            // With another method, `/api/customers/overdue` is not read as a customer's id.
            assert_eq!(reply.status, 405, "{method} {path}: {}", reply.text);
            let _ = reply.refused(405, "method_not_allowed");
            let mut named: Vec<&str> = reply.header("allow").split(',').map(str::trim).collect();
            named.sort_unstable();
            let mut expected: Vec<&str> = allowed.iter().map(|method| method.as_str()).collect();
            if expected.contains(&"GET") {
                expected.push("HEAD");
            }
            expected.sort_unstable();
            assert_eq!(named, expected, "{method} {path}");
            tried += 1;
        }
    }
    assert!(tried > 80, "{tried}");
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_wherever_get_is_with_the_same_headers_and_no_body() {
    let it = Untouched::start().await;
    let routes = Route::all(&it.service).await;
    let mut asked: Vec<(String, tests::Client)> =
        ["/healthz", "/readyz", "/openapi.json", "/docs/"]
            .map(|path| (path.to_owned(), it.service.nobody()))
            .into();
    for route in routes.iter().filter(|route| route.method == Method::GET) {
        // The id exists on some routes and not on others; HEAD and GET must agree in both cases.
        let id = match route.path.contains("products") || route.path.contains("inventory") {
            true => ACME_HEADPHONES.to_string(),
            false => ACME_CUSTOMER.to_string(),
        };
        asked.push((route.with_id(&id), route.best_caller(&it.service)));
    }
    assert!(asked.len() > 20, "{}", asked.len());
    for (path, client) in &asked {
        for accept_encoding in ["identity", "gzip"] {
            let of = async |method: Method| {
                let request = client
                    .request(method, path)
                    .header("accept-encoding", accept_encoding)
                    .header("x-request-id", "the-same");
                let response = request.send().await.unwrap();
                let mut headers = response.headers().clone();
                headers.remove("date");
                // A report contains the time, so its compressed length may differ by a byte.
                if headers.contains_key("content-encoding") {
                    headers.remove("content-length");
                }
                (response.status(), headers)
            };
            let (status, headers) = of(Method::HEAD).await;
            let (expected, of_get) = of(Method::GET).await;
            assert_eq!(status, expected, "{path}");
            assert_eq!(headers, of_get, "{path}");
            let whole = client.send(client.request(Method::HEAD, path)).await;
            assert_eq!(whole.text, "", "{path}");
        }
    }
    // A HEAD leaves no bytes on the connection before the next response.
    for _ in 0..3 {
        let request = it.admin.request(Method::HEAD, "/api/orders");
        assert_eq!(it.admin.send(request).await.text, "");
        it.admin.get("/api/orders").await.ok(200);
    }
    for path in ["/api/purchase", "/api/auth/login"] {
        let reply = it.admin.send(it.admin.request(Method::HEAD, path)).await;
        assert_eq!(reply.status, 405, "{path}");
        assert_eq!(reply.header("allow"), "POST", "{path}");
    }
    it.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_the_api_too_a_wrong_method_is_405_with_those_that_are_allowed() {
    let it = Untouched::start().await;
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        for method in [Method::POST, Method::DELETE, Method::OPTIONS] {
            let reply = it.send(method.clone(), path, "{}").await;
            let _ = reply.refused(405, "method_not_allowed");
            assert_eq!(reply.header("allow"), "GET, HEAD", "{method} {path}");
        }
    }
}
