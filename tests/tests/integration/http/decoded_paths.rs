//! These tests check percent-encoded paths. Routing treats `%6F` as `o`, so access checks, limits and headers must too.

use domain::demo::ACME;
use reqwest::Method;
use serde_json::json;
use tests::{Client, Reply, Route, Service, until};

use crate::access::roles::{OF_SPENT_SECRETS, ROLES, id_at_acme, trading};
use crate::http::limits::limited;

/// The path once per literal segment, with one letter of that segment percent-encoded.
fn spellings(route: &Route, id: &str) -> Vec<String> {
    let segments: Vec<&str> = route.path.split('/').skip(1).collect();
    let literal = |segment: &str| !segment.starts_with('{');
    let coded = |segment: &str, at: usize| {
        let (start, rest) = segment.split_at(at);
        format!("{start}%{:02x}{}", rest.as_bytes()[0], &rest[1..])
    };
    (0..segments.len())
        .filter(|place| literal(segments[*place]))
        .map(|place| {
            let spelled = segments.iter().enumerate().map(|(other, segment)| {
                match (other == place, literal(segment)) {
                    // The last letter is encoded, because a comparison of prefixes would detect only the first.
                    (true, _) => coded(segment, segment.len() - 1),
                    (false, true) => (*segment).to_owned(),
                    (false, false) => id.to_owned(),
                }
            });
            format!("/{}", spelled.collect::<Vec<_>>().join("/"))
        })
        .collect()
}

async fn send(client: &Client, route: &Route, path: &str) -> Reply {
    let request = client.request(route.method.clone(), path);
    client.send(route.with_body(request)).await
}

fn roles(route: &Route) -> Vec<String> {
    let roles = route.operation["x-roles"].as_array().unwrap();
    roles
        .iter()
        .map(|role| role.as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn however_a_path_is_spelled_nobody_is_let_in_without_a_credential() {
    let (service, traded, routes) = trading().await;
    let before = service.database.digest().await;
    let mut tried = 0;
    for route in &routes {
        let public = crate::access::roles::is_public(route);
        for path in spellings(route, &id_at_acme(route, &traded)) {
            if public {
                continue;
            }
            let reply = send(&service.nobody(), route, &path).await;
            assert_eq!(reply.status, 401, "{} {path}: {}", route.method, reply.text);
            let _ = reply.refused(401, "unauthenticated");
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried}");
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_a_path_is_spelled_each_role_may_do_what_the_table_says_and_no_more() {
    let (service, traded, routes) = trading().await;
    let (mut allowed, mut forbidden) = (0, 0);
    for route in &routes {
        let roles = roles(route);
        for authority in ROLES {
            let client = service.caller(ACME, authority);
            let role = json!(authority.role());
            let may = roles
                .iter()
                .any(|may| may == "public" || role == may.as_str());
            for path in spellings(route, &id_at_acme(route, &traded)) {
                let what = format!("{} {path} as {authority:?}", route.method);
                let reply = send(&client, route, &path).await;
                if may {
                    // Some secrets are valid only once, and an object that exists already is a conflict.
                    let spent =
                        OF_SPENT_SECRETS.contains(&route.path.as_str()) && reply.status == 401;
                    let unsigned = route.is_signed() && reply.status == 400;
                    let good = matches!(reply.status, 200..300 | 409) || spent || unsigned;
                    assert!(good, "{what}: {} {}", reply.status, reply.text);
                    allowed += 1;
                } else {
                    assert_eq!(reply.status, 403, "{what}: {}", reply.text);
                    let _ = reply.refused(403, "forbidden");
                    forbidden += 1;
                }
            }
        }
    }
    assert!(allowed > 60 && forbidden > 20, "{allowed} {forbidden}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_written_down_under_the_endpoint_that_was_meant() {
    let service = Service::start().await;
    let customer = service.customer();
    let reply = customer.get("/api/customers/%6Fverdue").await;
    let problem = reply.refused(403, "forbidden");
    assert_eq!(problem["instance"], "/api/customers/%6Fverdue");
    let sql = "SELECT after ->> 'path' AS path FROM audit_events WHERE action = 'access.refused'";
    until("it is written", async || {
        !service.database.rows(sql).await.is_empty()
    })
    .await;
    assert_eq!(
        service.database.rows(sql).await,
        [json!({"path": "/api/customers/overdue"})]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn however_it_is_spelled_a_login_counts_as_one() {
    let service = limited(|limits| limits.rate_limit_login = "2/h".parse().unwrap()).await;
    let body = json!({"business": "acme", "email": "a@example.com", "password": "wrong one"});
    for path in ["/api/auth/%6Cogin", "/%61pi/auth/login"] {
        let reply = service.nobody().post(path, &body).await;
        let _ = reply.refused(401, "invalid_credentials");
    }
    for path in ["/api/auth/login", "/api/auth/%6Cogin", "/%61pi/auth/login"] {
        let reply = service.nobody().post(path, &body).await;
        let _ = reply.refused(429, "rate_limited");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn however_it_is_spelled_a_request_counts_once_and_health_never() {
    let service = limited(|limits| limits.rate_limit_address = "4/h".parse().unwrap()).await;
    let nobody = service.nobody();
    for (path, status) in [
        ("/%61pi/orders", 401),
        ("/%61pi/nothing", 404),
        ("/api/%6Eothing", 404),
        ("/openapi%2Ejson", 200),
        ("/openapi.json", 429),
        ("/%61pi/orders", 429),
        ("/api/nothing", 429),
        ("/healthz", 200),
        ("/%68ealthz", 200),
    ] {
        let reply = nobody.get(path).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text);
    }
    // A method that the path does not support counts too.
    let request = nobody.request(Method::DELETE, "/api/orders");
    assert_eq!(nobody.send(request).await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_it_is_spelled_an_answer_has_its_headers() {
    let service = Service::start().await;
    for path in ["/%61pi/orders", "/api/orders", "/%61pi/nothing"] {
        let reply = service.admin().get(path).await;
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
    }
    let page = service.nobody().get("/%64ocs/").await;
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self'"), "{policy}");
}
