//! These tests check which business a request may name in a header, a body or a query. A caller may name only their
//! own; a visitor may name any.

use domain::demo::{ACME, ACME_HEADPHONES, GLOBEX};
use entity::ProductId;
use serde_json::json;
use tests::{Route, Service};
use uuid::Uuid;

use crate::access::roles::{
    FOR_PLATFORM, OF_SPENT_SECRETS, PUBLIC, id_at_acme, is_public, seen, trading,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_business_header_may_repeat_the_callers_business_and_name_no_other() {
    let (service, traded, routes) = trading().await;
    let of_a_business = |route: &&Route| !is_public(route) && !route.is_platforms();
    for route in routes.iter().filter(of_a_business) {
        let client = route.best_caller(&service);
        let send = async |values: &[String]| {
            let path = route.with_id(&id_at_acme(route, &traded));
            let mut request = client.request(route.method.clone(), &path);
            for value in values {
                request = request.header("x-business-id", value);
            }
            client.send(route.with_body(request)).await
        };
        let own = ACME.to_string();
        for repeated in [own.clone(), own.to_uppercase()] {
            let reply = send(&[repeated]).await;
            let spent = OF_SPENT_SECRETS.contains(&route.path.as_str()) && reply.status == 401;
            assert!(
                reply.status < 300 || reply.status == 409 || spent,
                "{}: {}",
                route.name(),
                reply.text
            );
        }
        let before = service.database.digest().await;
        let other = GLOBEX.to_string();
        for values in [
            vec![other.clone()],
            vec![own.clone(), other.clone()],
            vec![other, own.clone()],
            vec!["acme".to_owned()],
            vec![String::new()],
            vec![Uuid::nil().to_string()],
            vec![format!("{own}, {own}")],
        ] {
            let reply = send(&values).await;
            assert_eq!(
                reply.status,
                403,
                "{} {values:?}: {}",
                route.name(),
                reply.text
            );
            let _ = reply.refused(403, "tenant_mismatch");
        }
        assert_eq!(service.database.digest().await, before, "{}", route.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_repeat_the_callers_business_and_name_no_other() {
    let (service, traded, routes) = trading().await;
    let admin = service.admin();
    let mut tried = 0;
    for route in routes
        .iter()
        .filter(|route| route.has_body() && !is_public(route) && !route.is_platforms())
    {
        let send = async |business: serde_json::Value| {
            let mut body = route.good_body();
            body["business_id"] = business;
            let path = route.with_id(&id_at_acme(route, &traded));
            let request = admin.request(route.method.clone(), &path);
            admin.send(request.body(body.to_string())).await
        };
        let reply = send(json!(ACME)).await;
        assert!(
            reply.status < 300 || reply.status == 409,
            "{}: {}",
            route.name(),
            reply.text
        );
        let before = service.database.digest().await;
        for other in [json!(GLOBEX), json!(Uuid::nil())] {
            let _ = send(other).await.refused(403, "tenant_mismatch");
        }
        for nonsense in [json!("acme"), json!(1), json!(null), json!([ACME])] {
            let body = send(nonsense).await.refused(422, "validation_failed");
            assert_eq!(body["errors"][0]["pointer"], "/business_id", "{body}");
        }
        assert_eq!(service.database.digest().await, before, "{}", route.name());
        tried += 1;
    }
    let of_nobody = routes
        .iter()
        .filter(|route| PUBLIC.contains(&route.name().as_str()) && route.has_body());
    let with_body = routes.iter().filter(|route| route.has_body()).count();
    assert_eq!(tried, with_body - of_nobody.count() - FOR_PLATFORM.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_names_a_business_and_reads_its_products() {
    let service = Service::start().await;
    let nobody = service.nobody();
    for business in ["acme".to_owned(), ACME.to_string()] {
        let list = nobody
            .get(&format!("/api/products?business={business}"))
            .await;
        assert_eq!(list.ok(200)["data"].as_array().unwrap().len(), 17);
        let one = nobody
            .get(&format!(
                "/api/products/{ACME_HEADPHONES}?business={business}"
            ))
            .await;
        assert_eq!(one.ok(200)["sku"], "HDP-001");
    }
    // The response for another business's product equals that for an unknown product.
    let no_ones = ProductId::new();
    let other = nobody
        .get(&format!("/api/products/{ACME_HEADPHONES}?business=globex"))
        .await;
    let none = nobody
        .get(&format!("/api/products/{no_ones}?business=globex"))
        .await;
    let _ = other.refused(404, "product_not_found");
    assert_eq!(
        seen(&other, &ACME_HEADPHONES.to_string()),
        seen(&none, &no_ones.to_string())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_who_names_no_business_or_an_unknown_one_reads_nothing() {
    let service = Service::start().await;
    let nobody = service.nobody();
    let one = format!("/api/products/{ACME_HEADPHONES}");
    for path in ["/api/products", one.as_str()] {
        let _ = nobody.get(path).await.refused(401, "unauthenticated");
        for unknown in [
            "initech".to_owned(),
            Uuid::now_v7().to_string(),
            "ACME".to_owned(),
            String::new(),
            "acme'%20OR%20'1'='1".to_owned(),
            "acme%00".to_owned(),
            "a".repeat(65),
            "%25".to_owned(),
        ] {
            let reply = nobody.get(&format!("{path}?business={unknown}")).await;
            assert_eq!(reply.status, 404, "{unknown}: {}", reply.text);
            let _ = reply.refused(404, "not_found");
        }
        let reply = nobody
            .get(&format!("{path}?business=acme&business=globex"))
            .await;
        let _ = reply.refused(422, "validation_failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_business_header_of_a_visitor_may_repeat_the_business_of_the_query() {
    let service = Service::start().await;
    let nobody = service.nobody();
    for (business, status) in [(ACME, 200), (GLOBEX, 403)] {
        let request = nobody.request(reqwest::Method::GET, "/api/products?business=acme");
        let request = request.header("x-business-id", business.to_string());
        assert_eq!(nobody.send(request).await.status, status, "{business}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_can_name_only_their_own_business_in_the_query() {
    let service = Service::start().await;
    let one = format!("/api/products/{ACME_HEADPHONES}");
    for path in ["/api/products", one.as_str()] {
        for own in ["acme".to_owned(), ACME.to_string()] {
            let reply = service
                .customer()
                .get(&format!("{path}?business={own}"))
                .await;
            assert_eq!(reply.status, 200, "{}", reply.text);
        }
        for other in ["globex".to_owned(), GLOBEX.to_string()] {
            let reply = service
                .admin()
                .get(&format!("{path}?business={other}"))
                .await;
            let _ = reply.refused(403, "tenant_mismatch");
        }
        let reply = service
            .admin()
            .get(&format!("{path}?business=initech"))
            .await;
        let _ = reply.refused(404, "not_found");
    }
}
