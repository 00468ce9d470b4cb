//! These tests check that data of another business or another customer does not exist for a caller. Most go through all
//! routes of the published document, and so try each new endpoint. Its body and id are listed by hand in
//! `tests/src/routes.rs`.

use domain::Authority;
use domain::demo::{ACME, ACME_CUSTOMER, ACME_HEADPHONES, GLOBEX, GLOBEX_CUSTOMER, GLOBEX_DESK};
use entity::{CustomerId, ProductId};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Route, Service};
use uuid::Uuid;

use crate::access::roles::{id_at_acme, is_public, may, seen, trading};

#[tokio::test(flavor = "multi_thread")]
async fn for_a_stranger_another_business_ids_are_ids_that_nobody_has() {
    let (service, traded, routes) = trading().await;
    let before = service.database.digest().await;
    let mut tried = 0;
    let with_id = |route: &&Route| route.has_id() && !is_public(route);
    for route in routes.iter().filter(with_id) {
        for authority in [
            Authority::Admin,
            Authority::Staff,
            Authority::Customer(GLOBEX_CUSTOMER),
            // The token of a Globex customer with the id of Acme's customer matches no customer.
            Authority::Customer(ACME_CUSTOMER),
        ] {
            if !may(route, authority) {
                continue;
            }
            let stranger = service.caller(GLOBEX, authority);
            let theirs = route.id_at_acme(&traded);
            let no_ones = Uuid::now_v7().to_string();
            let other = route.send(&stranger, &theirs).await;
            let none = route.send(&stranger, &no_ones).await;
            assert_eq!(other.status, 404, "{}: {}", route.name(), other.text);
            assert_eq!(
                seen(&other, &theirs),
                seen(&none, &no_ones),
                "{} as {authority:?}",
                route.name()
            );
            tried += 1;
        }
    }
    assert!(tried >= 16, "{tried}");
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_another_business_in_a_body_or_a_query_are_ids_that_nobody_has() {
    let (service, traded, _) = trading().await;
    let stranger = service.stranger();
    let before = service.database.digest().await;
    let buy = async |customer: CustomerId, product: ProductId| {
        stranger.buy_for(customer, &[(product, 1)]).await
    };
    let nobody = CustomerId::new();
    let (other, none) = (
        buy(ACME_CUSTOMER, GLOBEX_DESK).await,
        buy(nobody, GLOBEX_DESK).await,
    );
    let _ = other.refused(404, "customer_not_found");
    assert_eq!(
        seen(&other, &ACME_CUSTOMER.to_string()),
        seen(&none, &nobody.to_string())
    );
    let nothing = ProductId::new();
    let (other, none) = (
        buy(GLOBEX_CUSTOMER, ACME_HEADPHONES).await,
        buy(GLOBEX_CUSTOMER, nothing).await,
    );
    let _ = other.refused(404, "product_not_found");
    assert_eq!(
        seen(&other, &ACME_HEADPHONES.to_string()),
        seen(&none, &nothing.to_string())
    );
    let orders = stranger
        .get(&format!("/api/orders?customer_id={ACME_CUSTOMER}"))
        .await;
    assert_eq!(orders.ok(200)["data"], json!([]));
    // A cursor contains an id, so a cursor of Acme's must reveal nothing.
    let mine = service.staff().get("/api/orders?limit=1").await.ok(200);
    let cursor = mine["next_cursor"].as_str().unwrap();
    let orders = stranger.get(&format!("/api/orders?cursor={cursor}")).await;
    assert!(!orders.text.contains(&traded.order), "{}", orders.text);
    assert_eq!(orders.ok(200)["data"], json!([]));
    assert_eq!(service.database.digest().await, before);
}

/// Replaces every id in this JSON with a new one, and records the pairs.
fn with_new_ids(value: &Value, replaced: &mut Vec<(String, String)>) -> Value {
    match value {
        Value::String(text) if text.parse::<Uuid>().is_ok() => {
            let new = Uuid::now_v7().to_string();
            replaced.push((text.clone(), new.clone()));
            new.into()
        }
        Value::Array(values) => values
            .iter()
            .map(|value| with_new_ids(value, replaced))
            .collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), with_new_ids(value, replaced)))
            .collect(),
        other => other.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_every_route_ids_of_another_business_in_body_and_query_are_ids_that_nobody_has() {
    let (service, traded, routes) = trading().await;
    let stranger = service.stranger();
    let before = service.database.digest().await;
    let (mut bodies, mut queries) = (0, 0);
    for route in routes.iter().filter(|route| !is_public(route)) {
        let send = async |query: &str, body: Option<&Value>| {
            let path = format!("{}{query}", route.with_id(&id_at_acme(route, &traded)));
            let request = stranger.request(route.method.clone(), &path);
            let request = match body {
                Some(body) => request.body(body.to_string()),
                None => request,
            };
            stranger.send(request).await
        };
        let mut replaced = Vec::new();
        let good = route.has_body().then(|| route.good_body());
        let new = good.as_ref().map(|body| with_new_ids(body, &mut replaced));
        if !replaced.is_empty() {
            let (theirs, no_ones) = (send("", good.as_ref()).await, send("", new.as_ref()).await);
            assert!(
                matches!(theirs.status, 403 | 404),
                "{}: {}",
                route.name(),
                theirs.text
            );
            let same = |mut text: String| {
                for (their, no_one) in &replaced {
                    text = text.replace(their, "<id>").replace(no_one, "<id>");
                }
                text
            };
            assert_eq!(
                same(seen(&theirs, "<none>")),
                same(seen(&no_ones, "<none>")),
                "{}",
                route.name()
            );
            bodies += 1;
        }
        let parameters = route.operation["parameters"]
            .as_array()
            .into_iter()
            .flatten();
        for parameter in parameters {
            if parameter["in"] != "query" || parameter["schema"]["format"] != "uuid" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            for theirs in [
                ACME_CUSTOMER.0,
                ACME_HEADPHONES.0,
                traded.order.parse().unwrap(),
            ] {
                let no_ones = Uuid::now_v7().to_string();
                let theirs = theirs.to_string();
                let other = send(&format!("?{name}={theirs}"), good.as_ref()).await;
                let none = send(&format!("?{name}={no_ones}"), good.as_ref()).await;
                assert_eq!(
                    seen(&other, &theirs),
                    seen(&none, &no_ones),
                    "{} {name}",
                    route.name()
                );
                queries += 1;
            }
        }
    }
    assert!(bodies >= 1 && queries >= 3, "{bodies} {queries}");
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_the_callers_business_and_nothing_of_another() {
    let (service, _, routes) = trading().await;
    let lists = routes
        .iter()
        .filter(|route| route.method == Method::GET && !route.has_id());
    let mut read = 0;
    for route in lists {
        if route.operation["x-roles"] == json!(["customer"]) {
            continue;
        }
        let acme = route.send(&service.admin(), "").await.ok(200).to_string();
        let globex = route
            .send(&service.stranger(), "")
            .await
            .ok(200)
            .to_string();
        for id in [GLOBEX_CUSTOMER.0, GLOBEX_DESK.0, GLOBEX.0] {
            assert!(!acme.contains(&id.to_string()), "{} {acme}", route.name());
        }
        for id in [ACME_CUSTOMER.0, ACME_HEADPHONES.0, ACME.0] {
            assert!(
                !globex.contains(&id.to_string()),
                "{} {globex}",
                route.name()
            );
        }
        read += 1;
    }
    assert!(read >= 5, "{read}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_sees_and_does_its_own_and_nothing_of_another_customer() {
    let service = Service::start().await;
    let (staff, me) = (service.staff(), service.customer());
    let neighbour = service.admin().add_customer("Neighbour", "500.00").await;
    let theirs = staff
        .buy_for(neighbour, &[(ACME_HEADPHONES, 1)])
        .await
        .ok(201);
    let theirs = theirs["order_id"].as_str().unwrap();
    let mine = me.buy(&[(ACME_HEADPHONES, 1)]).await.ok(201);
    let mine = mine["order_id"].as_str().unwrap();

    let own = me
        .get(&format!("/api/customers/{ACME_CUSTOMER}"))
        .await
        .ok(200);
    assert_eq!(own["balance"], "100.00");
    let own = me.get(&format!("/api/orders/{mine}")).await.ok(200);
    assert_eq!(own["order_id"], mine);

    for (path, id) in [
        ("customers", neighbour.to_string()),
        ("orders", theirs.to_owned()),
    ] {
        let no_ones = Uuid::now_v7().to_string();
        let other = me.get(&format!("/api/{path}/{id}")).await;
        let none = me.get(&format!("/api/{path}/{no_ones}")).await;
        assert_eq!(other.status, 404, "{}", other.text);
        assert_eq!(seen(&other, &id), seen(&none, &no_ones));
    }
    let before = service.database.digest().await;
    let no_ones = CustomerId::new();
    let other = me.buy_for(neighbour, &[(ACME_HEADPHONES, 1)]).await;
    let none = me.buy_for(no_ones, &[(ACME_HEADPHONES, 1)]).await;
    let _ = other.refused(404, "customer_not_found");
    assert_eq!(
        seen(&other, &neighbour.to_string()),
        seen(&none, &no_ones.to_string())
    );
    assert_eq!(service.database.digest().await, before);

    for path in ["/api/orders/my-orders", "/api/orders"] {
        let listed = me.get(path).await.ok(200);
        let ids: Vec<&str> = listed["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|order| order["order_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, [mine], "{path}");
    }
    let listed = me
        .get(&format!("/api/orders?customer_id={neighbour}"))
        .await;
    assert_eq!(listed.ok(200)["data"], json!([]));
}
