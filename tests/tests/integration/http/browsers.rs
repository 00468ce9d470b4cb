//! These tests check what a browser needs: security headers, and the origins whose pages may call the API.

use reqwest::Method;
use serde_json::json;
use tests::{Reply, Service};

use crate::http::limits::{limited, login};

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_the_headers_that_keep_browsers_safe() {
    let service = limited(|limits| limits.rate_limit_login = "1/h".parse().unwrap()).await;
    let (nobody, admin) = (service.nobody(), service.admin());
    let answers = [
        ("/healthz", nobody.get("/healthz").await, 200),
        (
            "/healthz",
            nobody.send(nobody.request(Method::HEAD, "/healthz")).await,
            200,
        ),
        ("/openapi.json", nobody.get("/openapi.json").await, 200),
        ("/docs/", nobody.get("/docs/").await, 200),
        ("/nothing", nobody.get("/nothing").await, 404),
        ("/api/nothing", nobody.get("/api/nothing").await, 404),
        ("/api/orders", nobody.get("/api/orders").await, 401),
        ("/api/orders", admin.get("/api/orders").await, 200),
        (
            "/api/products",
            admin.post("/api/products", &json!({})).await,
            422,
        ),
        ("/api/auth/login", login(&nobody, "acme", "a@b").await, 401),
        ("/api/auth/login", login(&nobody, "acme", "a@b").await, 429),
    ];
    for (path, reply, status) in &answers {
        assert_eq!(reply.status, *status, "{path}: {}", reply.text);
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{path}");
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert_eq!(
            policy.contains("script-src"),
            *path == "/docs/",
            "{path}: {policy}"
        );
        if path.starts_with("/api") {
            assert_eq!(reply.header("cache-control"), "no-store", "{path}");
        }
        // The service speaks no TLS, so the proxy that terminates TLS sets this header.
        assert_eq!(reply.header("strict-transport-security"), "", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_document_needs_nothing_that_its_policy_forbids() {
    let service = Service::start().await;
    let nobody = service.nobody();
    let page = nobody.get("/docs/").await;
    let inline = page.text.split("<script").skip(1).find(|tag| {
        let tag = tag.split("</script>").next().unwrap();
        !tag.contains("src=\"./")
    });
    assert_eq!(
        inline, None,
        "a script that is not a file of the page's own"
    );
    assert!(!page.text.contains("=\"http"), "{}", page.text);
    for file in [
        "swagger-ui-bundle.js",
        "swagger-initializer.js",
        "swagger-ui.css",
    ] {
        let reply = nobody.get(&format!("/docs/{file}")).await;
        assert_eq!(reply.status, 200, "{file}");
        // With `nosniff` a browser runs only files that are declared as scripts.
        let kind = reply.header("content-type");
        assert!(
            kind.contains("javascript") || kind.contains("css"),
            "{file}: {kind}"
        );
    }
}

async fn preflight(service: &Service, origin: &str, headers: &str) -> Reply {
    let nobody = service.nobody();
    let request = nobody
        .request(Method::OPTIONS, "/api/purchase")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", headers);
    nobody.send(request).await
}

#[track_caller]
fn assert_nothing_for_other_origins(reply: &Reply) {
    let said: Vec<&str> = reply
        .headers
        .keys()
        .map(|name| name.as_str())
        .filter(|name| name.starts_with("access-control-allow"))
        .collect();
    assert!(
        !said.contains(&"access-control-allow-origin"),
        "{said:?} {}",
        reply.header("access-control-allow-origin")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_another_origin_may_call_unless_it_is_listed() {
    let service = Service::start().await;
    let origin = "https://shop.example";
    assert_nothing_for_other_origins(&preflight(&service, origin, "authorization").await);
    let admin = service.admin();
    let get = async |service: &Service, origin: &str| {
        let request = admin.at(service).request(Method::GET, "/api/orders");
        admin.send(request.header("origin", origin)).await
    };
    assert_nothing_for_other_origins(&get(&service, origin).await);

    let listed = limited(|limits| {
        limits.cors_origins = vec![
            origin.parse().unwrap(),
            "http://localhost:5173".parse().unwrap(),
        ];
    })
    .await;
    for origin in [origin, "http://localhost:5173"] {
        let headers = "authorization,content-encoding,content-type,idempotency-key,last-event-id,x-request-id,\
                       x-business-id";
        let reply = preflight(&listed, origin, headers).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.header("access-control-allow-origin"), origin);
        assert_eq!(reply.header("access-control-allow-credentials"), "");
        let reply = get(&listed, origin).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("access-control-allow-origin"), origin);
        assert_eq!(reply.header("access-control-allow-credentials"), "");
        assert!(reply.header("vary").to_lowercase().contains("origin"));
        let exposed = reply.header("access-control-expose-headers").to_lowercase();
        for header in [
            "location",
            "retry-after",
            "idempotency-replayed",
            "x-request-id",
        ] {
            assert!(exposed.contains(header), "{exposed}");
        }
        // A page must be able to read the reason of a rejection.
        let request = listed.nobody().request(Method::GET, "/api/orders");
        let reply = admin.send(request.header("origin", origin)).await;
        let _ = reply.refused(401, "unauthenticated");
        assert_eq!(reply.header("access-control-allow-origin"), origin);
    }
    for other in [
        "https://evil.example",
        "http://shop.example",
        "https://shop.example.evil.example",
        "https://shop.example:8443",
        "null",
    ] {
        assert_nothing_for_other_origins(&preflight(&listed, other, "authorization").await);
        assert_nothing_for_other_origins(&get(&listed, other).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_that_is_refused_says_why() {
    let origin = "https://shop.example";
    let closed = Service::start().await;
    let listed = limited(|limits| limits.cors_origins = vec![origin.parse().unwrap()]).await;
    let ask = async |service: &Service, origin: &str, method: &str, header: &str| {
        let nobody = service.nobody();
        let request = nobody
            .request(Method::OPTIONS, "/api/orders")
            .header("origin", origin)
            .header("access-control-request-method", method)
            .header("access-control-request-headers", header);
        nobody.send(request).await
    };
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
        let reply = ask(&listed, origin, method, "authorization").await;
        assert_eq!(reply.status, 200, "{method}: {}", reply.text);
    }
    for (service, origin, method, header, expected) in [
        (
            &closed,
            origin,
            "GET",
            "authorization",
            "TRADELINE_CORS_ORIGINS",
        ),
        (
            &listed,
            "https://evil.example",
            "GET",
            "authorization",
            "TRADELINE_CORS_ORIGINS",
        ),
        (
            &listed,
            origin,
            "TRACE",
            "authorization",
            "Access-Control-Request-Method",
        ),
        (&listed, origin, "GET", "cookie", "authorization"),
        (&listed, origin, "GET", "two words", "preflight"),
    ] {
        let reply = ask(service, origin, method, header).await;
        let problem = reply.refused(403, "cors_refused");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(expected), "{method} {header}: {detail}");
        assert_nothing_for_other_origins(&reply);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_type_of_a_problem_leads_to_the_page_of_its_code() {
    let service = Service::start().await;
    let nobody = service.nobody();
    let refused = nobody.get("/api/orders").await;
    let problem = refused.refused(401, "unauthenticated");
    let page = nobody.get(problem["type"].as_str().unwrap()).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.text.contains("Log in"), "{}", page.text);
    assert!(
        page.header("content-security-policy")
            .contains("default-src 'none'")
    );
    let unknown = nobody.get("/problems/no_such_code").await;
    unknown.refused(404, "not_found");
}
