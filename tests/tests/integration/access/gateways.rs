//! These tests check `X-Business-Id` in place of a credential: only gateways listed in the settings may send it.

use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES, GLOBEX};
use reqwest::Method;
use serde_json::json;
use tests::{Client, Reply, Route, SERVICE, Service, purchase, settings};
use tradeline::config::GatewayRole;
use uuid::Uuid;

use crate::access::roles::is_public;

/// Starts a service that trusts these peers as gateways.
async fn behind(peers: &[&str], role: GatewayRole) -> Service {
    let mut settings = settings();
    settings.identity.trusted_gateways = peers.iter().map(|text| text.parse().unwrap()).collect();
    settings.identity.gateway_role = role;
    let database = tests::Database::with_demo().await;
    let url = database.url(SERVICE);
    Service::with(database, &url, &settings).await
}

async fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Reply {
    let request = headers.iter().fold(
        client.request(Method::GET, path),
        |request, (name, value)| request.header(*name, *value),
    );
    client.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_peer_names_the_business_and_has_the_role_of_the_settings() {
    let acme = ACME.to_string();
    for (peers, role, text) in [
        (["127.0.0.1"], GatewayRole::Staff, "staff"),
        (["127.0.0.0/8"], GatewayRole::Admin, "admin"),
    ] {
        let service = behind(&peers, role).await;
        let nobody = service.nobody();
        let me = get(&nobody, "/api/auth/me", &[("x-business-id", &acme)]).await;
        let me = me.ok(200);
        assert_eq!(me["role"], text);
        assert_eq!(me["business"]["slug"], "acme");
        // The gateway can purchase, and the audit entry names its role.
        let body = purchase(ACME_CUSTOMER, &[(ACME_HEADPHONES, 1)]);
        let request = nobody
            .request(Method::POST, "/api/purchase")
            .header("x-business-id", &acme)
            .body(body.to_string());
        let order = nobody.send(request).await.ok(201);
        let sql = format!(
            "SELECT actor_id, actor_role FROM audit_events WHERE entity_id = '{}'",
            order["order_id"].as_str().unwrap()
        );
        let event = service.database.row(&sql).await;
        assert_eq!(event["actor_role"], text);
        assert_eq!(event["actor_id"], me["user_id"]);
        let rename = nobody
            .request(Method::PATCH, "/api/business")
            .header("x-business-id", &acme)
            .body(json!({"name": "Renamed"}).to_string());
        let expected = if text == "admin" { 200 } else { 403 };
        assert_eq!(nobody.send(rename).await.status, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_header_of_anyone_else_is_no_credential_on_any_route() {
    // No gateway is listed, or only other addresses are. Forwarding headers do not change the peer's address.
    for peers in [&[][..], &["10.0.0.0/8", "192.0.2.7", "::1"]] {
        let service = behind(peers, GatewayRole::Admin).await;
        let before = service.database.digest().await;
        let nobody = service.nobody();
        for route in Route::all(&service).await {
            if is_public(&route) {
                continue;
            }
            let request = nobody
                .request(
                    route.method.clone(),
                    &route.with_id(&ACME_HEADPHONES.to_string()),
                )
                .header("x-business-id", ACME.to_string())
                .header("x-forwarded-for", "10.0.0.1")
                .header("x-real-ip", "10.0.0.1")
                .header("forwarded", "for=10.0.0.1");
            let reply = nobody.send(route.with_body(request)).await;
            assert_eq!(reply.status, 401, "{}: {}", route.name(), reply.text);
        }
        assert_eq!(service.database.digest().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_names_one_business_that_exists() {
    let service = behind(&["127.0.0.1"], GatewayRole::Staff).await;
    let nobody = service.nobody();
    let (acme, globex) = (ACME.to_string(), GLOBEX.to_string());
    let (no_ones, both) = (Uuid::now_v7().to_string(), format!("{ACME},{GLOBEX}"));
    for headers in [
        &[][..],
        &[("x-business-id", "acme")],
        &[("x-business-id", "")],
        &[("x-business-id", no_ones.as_str())],
        &[("x-business-id", both.as_str())],
        &[("x-business-id", acme.as_str()), ("x-business-id", &globex)],
        &[("x-business-id", acme.as_str()), ("x-business-id", &acme)],
    ] {
        let reply = get(&nobody, "/api/auth/me", headers).await;
        assert_eq!(reply.status, 401, "{headers:?}: {}", reply.text);
        let _ = reply.refused(401, "unauthenticated");
    }
    // A gateway has no authority of the platform.
    let request = nobody
        .request(Method::POST, "/api/businesses")
        .header("x-business-id", &acme)
        .body("{}");
    let _ = nobody.send(request).await.refused(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_wins_over_the_gateway_and_must_be_of_the_business_that_the_header_names() {
    let service = behind(&["127.0.0.1"], GatewayRole::Admin).await;
    let (acme, globex) = (ACME.to_string(), GLOBEX.to_string());
    let customer = service.customer();
    let me = get(&customer, "/api/auth/me", &[("x-business-id", &acme)]).await;
    assert_eq!(me.ok(200)["role"], "customer");
    let other = get(&customer, "/api/auth/me", &[("x-business-id", &globex)]).await;
    let _ = other.refused(403, "tenant_mismatch");
    // An invalid credential is rejected even from a gateway.
    for credential in ["Bearer garbage", "Bearer ", "Basic YTpi", ""] {
        let headers = [
            ("x-business-id", acme.as_str()),
            ("authorization", credential),
        ];
        let reply = get(&service.nobody(), "/api/auth/me", &headers).await;
        let _ = reply.refused(401, "unauthenticated");
        let reply = get(&service.nobody(), "/api/products", &headers).await;
        let _ = reply.refused(401, "unauthenticated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_come_by_way_of_a_gateway_too() {
    let service = behind(&["127.0.0.1"], GatewayRole::Staff).await;
    let nobody = service.nobody();
    let (acme, globex) = (ACME.to_string(), GLOBEX.to_string());
    let _ = get(&nobody, "/api/products?business=acme", &[])
        .await
        .ok(200);
    let _ = get(&nobody, "/api/products", &[("x-business-id", &acme)])
        .await
        .ok(200);
    let both = get(
        &nobody,
        "/api/products?business=acme",
        &[("x-business-id", &globex)],
    )
    .await;
    let _ = both.refused(403, "tenant_mismatch");
}
