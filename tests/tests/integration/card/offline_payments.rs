//! These tests check payments with the offline provider, whose endpoints exist only for callers on the same machine.

use domain::demo::{ACME, ACME_KEYBOARD};
use entity::{BusinessId, OrderId};
use reqwest::Method;
use serde_json::json;
use tests::{Database, Reply, SERVICE, Service, books_balance, settings, stripe};
use tradeline::config::ProviderName;

/// Places an order by card; returns the ids of the order and of its intent.
async fn order(service: &Service) -> (String, String) {
    let placed = service.customer().checkout(&[(ACME_KEYBOARD, 1)]).await;
    let placed = placed.ok(201);
    let secret = placed["client_secret"].as_str().unwrap();
    let intent = secret.strip_suffix("_secret").unwrap();
    (tests::id_of(&placed), intent.to_owned())
}

async fn tell(service: &Service, path: &str, headers: &[(&str, &str)]) -> Reply {
    let nobody = service.nobody();
    let request = nobody.request(Method::POST, path);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    nobody.send(request).await
}

/// The parts of a response that do not depend on the path.
fn seen(reply: &Reply) -> (u16, serde_json::Value) {
    let mut body = reply.json();
    body["request_id"] = json!("");
    body["instance"] = json!("");
    (reply.status, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn on_this_machine_a_payment_is_made_by_saying_so() {
    let service = Service::start().await;
    let admin = service.admin();
    let (order, intent) = order(&service).await;
    let failed = tell(&service, &format!("/api/dev/payments/{intent}/fail"), &[]).await;
    assert_eq!(failed.ok(200), json!({"received": true}));
    let found = admin.order(&order).await;
    assert_eq!(found["status"], "payment_pending");
    assert_eq!(found["payments"][0]["failure"], "declined");
    let local = [("x-forwarded-for", "127.0.0.1, ::1")];
    let path = format!("/api/dev/payments/{intent}/succeed");
    let paid = tell(&service, &path, &local).await;
    assert_eq!(paid.ok(200), json!({"received": true}));
    let found = admin.order(&order).await;
    assert_eq!(found["status"], "paid");
    assert_eq!(found["amount_paid"], found["total_amount"]);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_that_nobody_has_is_not_found() {
    let service = Service::start().await;
    let before = service.database.digest().await;
    let of = |business: BusinessId, order: OrderId| {
        format!("pi_offline_{}_{}", business.0.simple(), order.0.simple())
    };
    for intent in [
        of(ACME, OrderId::new()),
        of(BusinessId::new(), OrderId::new()),
        "pi_offline_x_y".to_owned(),
        "pi_3P".to_owned(),
        "%00".to_owned(),
        "%FF".to_owned(),
    ] {
        for what in ["succeed", "fail"] {
            let path = format!("/api/dev/payments/{intent}/{what}");
            let problem = tell(&service, &path, &[]).await;
            let problem = problem.refused(404, "not_found");
            assert_eq!(problem["detail"], "There is no such payment.");
        }
    }
    assert_eq!(service.database.digest().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_machines_get_no_such_path() {
    let mut settings = settings();
    settings.limits.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    for settings in [tests::settings(), settings] {
        let service = Service::with(database.clone(), &url, &settings).await;
        let (order, intent) = order(&service).await;
        let unknown = tell(&service, "/api/dev/payments", &[]).await;
        let unknown = seen(&unknown);
        assert_eq!(unknown.0, 404);
        for headers in [
            &[("x-forwarded-for", "192.0.2.1")][..],
            &[("x-forwarded-for", "192.0.2.1, 127.0.0.1")],
            &[("x-forwarded-for", "127.0.0.1, 192.0.2.1")],
            &[
                ("x-forwarded-for", "127.0.0.1"),
                ("x-forwarded-for", "192.0.2.1"),
            ],
            &[("x-forwarded-for", "unknown")],
            &[("forwarded", "for=192.0.2.1")],
        ] {
            for what in ["succeed", "fail", "succeed?x=1"] {
                let path = format!("/api/dev/payments/{intent}/{what}");
                let reply = tell(&service, &path, headers).await;
                assert_eq!(seen(&reply), unknown, "{what} {headers:?}");
            }
        }
        let found = service.admin().order(&order).await;
        assert_eq!(found["status"], "payment_pending");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_another_provider_or_none_there_is_no_such_path() {
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    let offline = Service::with(database.clone(), &url, &settings()).await;
    let (_, intent) = order(&offline).await;
    let unknown = seen(&tell(&offline, "/api/dev/payments", &[]).await);
    let mut none = settings();
    none.payments.payment_provider = Some(ProviderName::None);
    for settings in [none, stripe::settings_for("http://127.0.0.1:1")] {
        let service = Service::with(database.clone(), &url, &settings).await;
        for what in ["succeed", "fail"] {
            let path = format!("/api/dev/payments/{intent}/{what}");
            assert_eq!(seen(&tell(&service, &path, &[]).await), unknown);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_provider_nothing_is_ordered_by_card() {
    let mut none = settings();
    none.payments.payment_provider = Some(ProviderName::None);
    let database = Database::with_demo().await;
    let url = database.url(SERVICE);
    let service = Service::with(database, &url, &none).await;
    let items = json!([{"product_id": ACME_KEYBOARD, "quantity": 1}]);
    let held = service
        .customer()
        .post("/api/reservations", &json!({"items": items}))
        .await
        .ok(201);
    let before = service.database.digest().await;
    let held = held["reservation_id"].as_str().unwrap();
    let by_card = json!({"payment_method": "card"});
    let confirm = format!("/api/reservations/{held}/confirm");
    for reply in [
        service.customer().checkout(&[(ACME_KEYBOARD, 1)]).await,
        service.customer().post(&confirm, &by_card).await,
        service
            .customer()
            .post_once("key", &confirm, &by_card)
            .await,
    ] {
        let problem = reply.refused(409, "no_payment_provider");
        assert_eq!(problem["detail"], "No payment provider is set up.");
    }
    assert_eq!(service.database.digest().await, before);
    // The reservation can still be confirmed on credit.
    let on_credit = json!({"payment_method": "credit"});
    let _ = service.customer().post(&confirm, &on_credit).await.ok(201);
}
