//! These tests check orders by card from the hold to the sale, and all other ways in which they end.

use chrono::{DateTime, Utc};
use domain::card;
use domain::card::checkout::{Event, EventKind, EventOutcome};
use domain::card::provider::{Offline, Received};
use domain::demo::{ACME, ACME_CUSTOMER, ACME_KEYBOARD};
use entity::{Money, OrderId, ProductId};
use serde_json::{Value, json};
use tests::{Client, Database, SERVICE, Service, all, books_balance, id_of, settings, until};
use tradeline::config::ProviderName;

/// The product's `on_hand` and `reserved`.
async fn stock(service: &Service, product: ProductId) -> (i64, i64) {
    let stock = service
        .staff()
        .get(&format!("/api/inventory/{product}"))
        .await;
    let stock = stock.ok(200);
    let figure = |name: &str| stock[name].as_i64().unwrap();
    (figure("on_hand"), figure("reserved"))
}

/// Starts a service with a product of which ten are on hand, at 20.00 each.
async fn shop() -> (Service, ProductId) {
    let service = Service::start().await;
    let product = service.admin().add_product("CARD-1", "20.00", 10).await;
    (service, product)
}

async fn comes_to_be(service: &Service, order: &str, status: &str) -> Value {
    let admin = service.admin();
    until(status, async || {
        admin.order(order).await["status"] == status
    })
    .await;
    admin.order(order).await
}

fn statuses(order: &Value) -> Vec<&str> {
    let history = order["history"].as_array().unwrap();
    history
        .iter()
        .map(|step| step["to"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_by_card_is_held_then_sold_then_fulfilled() {
    let (service, product) = shop().await;
    let customer = service.customer();
    let before = service
        .admin()
        .get(&format!("/api/customers/{ACME_CUSTOMER}"))
        .await
        .ok(200);
    let placed = customer.checkout(&[(product, 3)]).await;
    let checkout = placed.ok(201);
    let order = id_of(&checkout);
    assert_eq!(placed.header("location"), format!("/api/orders/{order}"));
    assert_eq!(checkout["status"], "payment_pending");
    assert_eq!(checkout["total_amount"], "60.00");
    assert!(checkout["client_secret"].as_str().unwrap().len() > 20);
    let expires_at: DateTime<Utc> = checkout["expires_at"].as_str().unwrap().parse().unwrap();
    let minutes = (expires_at - Utc::now()).num_seconds();
    assert!((1740..=1800).contains(&minutes), "{minutes}");
    assert_eq!(stock(&service, product).await, (10, 3));
    let pending = customer.order(&order).await;
    assert_eq!(pending["amount_due"], "60.00");
    assert_eq!(pending["payments"][0]["status"], "pending");
    assert_eq!(statuses(&pending), ["created", "payment_pending"]);
    books_balance(&service).await;

    service.pay(&order).await.ok(200);
    assert_eq!(stock(&service, product).await, (7, 0));
    let paid = customer.order(&order).await;
    let figures =
        ["status", "amount_paid", "amount_due", "amount_refunded"].map(|name| paid[name].clone());
    assert_eq!(figures, ["paid", "60.00", "0.00", "0.00"]);
    books_balance(&service).await;

    let tracking = json!({"tracking_reference": "1Z999"});
    let fulfilled = service
        .staff()
        .do_to(&order, "fulfill", &tracking)
        .await
        .ok(200);
    assert_eq!(fulfilled["status"], "fulfilled");
    assert_eq!(fulfilled["tracking_reference"], "1Z999");
    assert_eq!(
        statuses(&fulfilled),
        ["created", "payment_pending", "paid", "fulfilled"]
    );
    let roles: Vec<_> = fulfilled["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["actor_role"].clone())
        .collect();
    assert_eq!(
        roles,
        [
            Value::Null,
            json!("system"),
            json!("system"),
            json!("staff")
        ]
    );

    // An order by card does not change the customer's credit.
    let after = service
        .admin()
        .get(&format!("/api/customers/{ACME_CUSTOMER}"))
        .await
        .ok(200);
    assert_eq!(before, after);
    let trail = format!("/api/audit?entity_id={order}");
    let mut actions: Vec<_> = service.admin().pages(&trail, 200).await;
    actions.reverse();
    let actions: Vec<_> = actions
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            "order.created",
            "order.payment_pending",
            "order.paid",
            "order.fulfilled"
        ]
    );
    let moved = service
        .staff()
        .pages(&format!("/api/inventory/{product}/movements"), 200)
        .await;
    let reasons: Vec<_> = moved
        .iter()
        .map(|one| one["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["sold", "released", "reserved", "received"]);
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_can_be_tried_again_and_the_stock_stays_held() {
    let (service, product) = shop().await;
    let order = service.customer().order_by_card(&[(product, 2)]).await;
    service.decline(&order).await.ok(200);
    let declined = service.customer().order(&order).await;
    assert_eq!(declined["status"], "payment_pending");
    assert!(declined["payments"][0]["failure"].is_string());
    assert_eq!(stock(&service, product).await, (10, 2));
    service.pay(&order).await.ok(200);
    assert_eq!(service.customer().order(&order).await["status"], "paid");
    // Repeated events, in any order, have no further effect.
    service.pay(&order).await.ok(200);
    service.decline(&order).await.ok(200);
    assert_eq!(stock(&service, product).await, (8, 0));
    assert_eq!(
        service.customer().order(&order).await["payments"][0]["failure"],
        Value::Null
    );
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_not_paid_in_time_is_cancelled_by_itself_and_its_stock_is_back() {
    let (service, product) = shop().await;
    let order = service.customer().order_by_card(&[(product, 10)]).await;
    let short = service.staff().buy(&[(product, 1)]).await;
    short.refused(409, "insufficient_stock");
    service.database.let_time_pass(&order).await;
    let over = comes_to_be(&service, &order, "cancelled").await;
    assert_eq!(over["cancel_reason"], "payment_expired");
    assert_eq!(
        (&over["amount_paid"], &over["amount_due"]),
        (&json!("0.00"), &json!("0.00"))
    );
    assert_eq!(over["payments"][0]["status"], "cancelled");
    assert_eq!(stock(&service, product).await, (10, 0));
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_waitlist_gets_the_units_of_an_unpaid_order() {
    let (service, product) = shop().await;
    let order = service.customer().order_by_card(&[(product, 10)]).await;
    let request = json!({"customer_id": ACME_CUSTOMER, "wait": true, "items": [{"product_id": product, "quantity": 4}]});
    let waiting = service
        .staff()
        .post("/api/reservations", &request)
        .await
        .ok(202);
    service.database.let_time_pass(&order).await;
    comes_to_be(&service, &order, "cancelled").await;
    let path = format!(
        "/api/reservations/{}",
        waiting["reservation_id"].as_str().unwrap()
    );
    assert_eq!(service.staff().get(&path).await.ok(200)["status"], "active");
    assert_eq!(stock(&service, product).await, (10, 4));
    books_balance(&service).await;
}

/// An event about an order, as the provider's adapter would parse it.
fn event_of(order: &str, id: &str, event_kind: EventKind) -> Event {
    let order_id: OrderId = order.parse().unwrap();
    Event {
        provider: Offline::NAME,
        id: id.to_owned(),
        kind: "test".to_owned(),
        business_id: ACME,
        order_id,
        intent: Offline::intent_of(ACME, order_id),
        event_kind,
    }
}

fn received(minor: i64, currency: &str) -> Received {
    let amount = format!("{}.{:02}", minor / 100, minor % 100);
    Received {
        minor,
        currency: currency.to_owned(),
        amount: Money::parse(&amount, entity::Currency::USD).ok(),
    }
}

fn paid(minor: i64) -> EventKind {
    EventKind::Paid(received(minor, "USD"))
}

async fn receive(service: &Service, event: &Event) -> EventOutcome {
    let database = domain::Database::new(&service.database.url(SERVICE), 1).unwrap();
    let outcome = card::receive(&database, &Offline, event).await.unwrap();
    database.close().await;
    outcome
}

/// Places an order by card whose payment deadline is over. The payment worker's next attempt is far in the future, so
/// it does not process the order.
async fn overdue_order(service: &Service, items: &[(ProductId, i64)]) -> String {
    let order = service.customer().order_by_card(items).await;
    let sql =
        format!("UPDATE payment_intents SET next_try_at = '2999-01-01' WHERE order_id = '{order}'");
    service.database.execute(&sql).await;
    service.database.let_time_pass(&order).await;
    let sql =
        format!("UPDATE payment_intents SET next_try_at = '2999-01-01' WHERE order_id = '{order}'");
    service.database.execute(&sql).await;
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn paid_after_its_time_an_order_has_its_stock_if_that_is_there() {
    let (service, product) = shop().await;
    let order = overdue_order(&service, &[(product, 10)]).await;
    assert_eq!(
        receive(&service, &event_of(&order, "e1", paid(20_000))).await,
        EventOutcome::Now
    );
    assert_eq!(service.customer().order(&order).await["status"], "paid");
    assert_eq!(stock(&service, product).await, (0, 0));
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_paid_without_stock_is_cancelled_and_refunded_with_a_reason() {
    let (service, product) = shop().await;
    let order = overdue_order(&service, &[(product, 10)]).await;
    service.staff().buy(&[(product, 1)]).await.ok(201);
    assert_eq!(
        receive(&service, &event_of(&order, "e1", paid(20_000))).await,
        EventOutcome::Now
    );
    let gone = service.customer().order(&order).await;
    assert_eq!(
        (&gone["status"], &gone["cancel_reason"]),
        (&json!("cancelled"), &json!("stock_gone"))
    );
    assert_eq!(
        (&gone["amount_paid"], &gone["amount_refunded"]),
        (&json!("200.00"), &json!("200.00"))
    );
    let admin = service.admin();
    until("the refund is made", async || {
        admin.order(&order).await["refunds"][0]["status"] == "succeeded"
    })
    .await;
    assert_eq!(stock(&service, product).await, (9, 0));
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paid_after_it_was_cancelled_an_order_stays_cancelled_and_the_money_goes_back() {
    let (service, product) = shop().await;
    let order = service.customer().order_by_card(&[(product, 1)]).await;
    let cancelled = service
        .customer()
        .do_to(&order, "cancel", &json!({}))
        .await
        .ok(200);
    assert_eq!(
        (&cancelled["status"], &cancelled["cancel_reason"]),
        (&json!("cancelled"), &json!("requested"))
    );
    assert_eq!(stock(&service, product).await, (10, 0));
    assert_eq!(
        receive(&service, &event_of(&order, "e1", paid(20_00))).await,
        EventOutcome::Now
    );
    let late = service.customer().order(&order).await;
    assert_eq!(
        (&late["status"], &late["cancel_reason"]),
        (&json!("cancelled"), &json!("paid_too_late"))
    );
    assert_eq!(late["refunds"][0]["amount"], "20.00");
    assert_eq!(stock(&service, product).await, (10, 0));
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_of_another_amount_or_currency_does_not_pay_the_order() {
    let (service, product) = shop().await;
    for (number, other) in [
        (1, received(19_99, "USD")),
        (2, received(20_01, "USD")),
        (3, received(20_00, "EUR")),
    ] {
        let order = service.customer().order_by_card(&[(product, 1)]).await;
        let event = event_of(&order, &format!("e{number}"), EventKind::Paid(other));
        assert_eq!(receive(&service, &event).await, EventOutcome::Now);
        let flagged = service.customer().order(&order).await;
        assert_eq!(
            (&flagged["status"], &flagged["amount_paid"]),
            (&json!("payment_pending"), &json!("0.00"))
        );
        assert_eq!(flagged["payments"][0]["status"], "mismatched");
        assert!(flagged["payments"][0]["failure"].is_string());
        // A later payment of the right amount does not resolve the mismatch.
        let event = event_of(&order, &format!("late{number}"), paid(20_00));
        assert_eq!(receive(&service, &event).await, EventOutcome::Now);
        assert_eq!(
            service.customer().order(&order).await["status"],
            "payment_pending"
        );
        assert_eq!(flagged["attention"], json!(["payment_mismatched"]));
        // The order expires as usual and its stock is released. It keeps its `attention`, since a person must handle
        // the payment.
        service.database.let_time_pass(&order).await;
        let customer = service.customer();
        until("the order is cancelled", async || {
            customer.order(&order).await["status"] == "cancelled"
        })
        .await;
        let over = customer.order(&order).await;
        assert_eq!(over["cancel_reason"], "payment_expired");
        assert_eq!(over["attention"], json!(["payment_mismatched"]));
        assert_eq!(stock(&service, product).await.1, 0);
    }
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_cancelled_unpaid_was_never_charged_and_owes_nothing() {
    let (service, product) = shop().await;
    let customer = service.customer();
    let order = customer.order_by_card(&[(product, 1)]).await;
    let cancelled = customer.do_to(&order, "cancel", &json!({})).await.ok(200);
    let read = customer.order(&order).await;
    let listed = customer.get("/api/orders").await.ok(200)["data"][0].clone();
    for found in [cancelled, read, listed] {
        assert_eq!(found["status"], "cancelled");
        for nothing in ["amount_credited", "amount_due", "amount_paid"] {
            assert_eq!(found[nothing], "0.00", "{nothing}");
        }
    }
    // An order on credit was charged, so its cancellation writes a credit.
    let bought = service.staff().buy(&[(product, 1)]).await.ok(201);
    let bought = id_of(&bought);
    let cancelled = service.staff().do_to(&bought, "cancel", &json!({})).await;
    assert_eq!(cancelled.ok(200)["amount_credited"], "20.00");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_processed_once_and_only_for_an_intent_of_this_service() {
    let (service, product) = shop().await;
    let order = service.customer().order_by_card(&[(product, 1)]).await;
    let event = event_of(&order, "e1", paid(20_00));
    let foreign = [
        Event {
            business_id: domain::demo::GLOBEX,
            ..event.clone()
        },
        Event {
            order_id: OrderId::new(),
            ..event.clone()
        },
        Event {
            intent: "pi_another".to_owned(),
            ..event.clone()
        },
        Event {
            provider: "stripe",
            ..event.clone()
        },
    ];
    for foreign in foreign {
        assert_eq!(
            receive(&service, &foreign).await,
            EventOutcome::NotOurs,
            "{foreign:?}"
        );
    }
    assert_eq!(
        service.customer().order(&order).await["status"],
        "payment_pending"
    );
    let service = std::sync::Arc::new(service);
    let deliveries = (0..8).map(|_| {
        let (service, event) = (std::sync::Arc::clone(&service), event.clone());
        async move { receive(&service, &event).await }
    });
    let mut outcomes = all(deliveries).await;
    outcomes.sort_by_key(|one| *one != EventOutcome::Now);
    assert_eq!(outcomes[0], EventOutcome::Now);
    assert!(
        outcomes[1..].iter().all(|one| *one == EventOutcome::Before),
        "{outcomes:?}"
    );
    assert_eq!(stock(&service, product).await, (9, 0));
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_checkout_is_one_order_and_one_answer() {
    let (service, product) = shop().await;
    let customer = service.customer();
    let body = tests::purchase(ACME_CUSTOMER, &[(product, 2)]);
    let first = customer
        .post_once("one", "/api/orders/checkout", &body)
        .await;
    let order = id_of(&first.ok(201));
    service.pay(&order).await.ok(200);
    let again = customer
        .post_once("one", "/api/orders/checkout", &body)
        .await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.header("location"), first.header("location"));
    let other = tests::purchase(ACME_CUSTOMER, &[(product, 1)]);
    let other = customer
        .post_once("one", "/api/orders/checkout", &other)
        .await;
    other.refused(422, "idempotency_key_reused");
    assert_eq!(stock(&service, product).await, (8, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_is_confirmed_by_card_at_its_price_and_keeps_its_hold() {
    let (service, product) = shop().await;
    let customer = service.customer();
    let request = json!({"items": [{"product_id": product, "quantity": 10}]});
    let held = customer.post("/api/reservations", &request).await.ok(201);
    let dearer = json!({"price": "99.00"});
    service
        .admin()
        .patch(&format!("/api/products/{product}"), &dearer)
        .await
        .ok(200);
    let path = format!(
        "/api/reservations/{}",
        held["reservation_id"].as_str().unwrap()
    );
    let by_card = json!({"payment_method": "card"});
    let placed = customer
        .post(&format!("{path}/confirm"), &by_card)
        .await
        .ok(201);
    assert_eq!(
        (&placed["status"], &placed["total_amount"]),
        (&json!("payment_pending"), &json!("200.00"))
    );
    assert_eq!(stock(&service, product).await, (10, 10));
    let order = id_of(&placed);
    let confirmed = customer.get(&path).await.ok(200);
    assert_eq!(
        (&confirmed["status"], &confirmed["order_id"]),
        (&json!("confirmed"), &json!(order))
    );
    let twice = customer.post(&format!("{path}/confirm"), &by_card).await;
    twice.refused(409, "invalid_transition");
    books_balance(&service).await;
    service.pay(&order).await.ok(200);
    assert_eq!(stock(&service, product).await, (0, 0));
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_ordered_by_card_where_no_provider_is_set_up() {
    let database = Database::with_demo().await;
    let mut settings = settings();
    settings.payments.payment_provider = Some(ProviderName::None);
    let url = database.url(SERVICE);
    let service = Service::with(database, &url, &settings).await;
    let refused = service.customer().checkout(&[(ACME_KEYBOARD, 1)]).await;
    refused.refused(409, "no_payment_provider");
    assert_eq!(service.orders().await, 0);
    let nothing = service
        .nobody()
        .post("/api/dev/payments/pi_offline/succeed", &json!({}))
        .await;
    nothing.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_can_be_paid_for_as_long_as_is_set() {
    let database = Database::with_demo().await;
    let mut settings = settings();
    settings.payments.payment_seconds = 90;
    let url = database.url(SERVICE);
    let service = Service::with(database, &url, &settings).await;
    let placed = service.customer().checkout(&[(ACME_KEYBOARD, 1)]).await;
    let placed = placed.ok(201);
    let order = service.customer().order(&id_of(&placed)).await;
    assert_eq!(order["due_at"], placed["expires_at"]);
    let time = |member: &str| -> DateTime<Utc> { order[member].as_str().unwrap().parse().unwrap() };
    assert_eq!((time("due_at") - time("created_at")).num_seconds(), 90);
}

/// Holds two units of the product for the customer; returns the path of the reservation.
async fn hold_two(customer: &Client, product: ProductId) -> String {
    let items = json!([{"product_id": product, "quantity": 2}]);
    let held = customer
        .post("/api/reservations", &json!({"items": items}))
        .await;
    held.ok(201);
    held.header("location").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn held_items_are_ordered_by_card_at_their_reserved_price() {
    let (service, product) = shop().await;
    let customer = service.customer();
    let reservation = hold_two(&customer, product).await;
    let dearer = json!({"price": "25.00"});
    let path = format!("/api/products/{product}");
    let _ = service.admin().patch(&path, &dearer).await.ok(200);
    let by_card = json!({"payment_method": "card"});
    let placed = customer
        .post(&format!("{reservation}/confirm"), &by_card)
        .await;
    let checkout = placed.ok(201);
    assert_eq!(checkout["status"], "payment_pending");
    assert_eq!(checkout["total_amount"], "40.00");
    assert_eq!(checkout["currency"], "USD");
    let order = id_of(&checkout);
    assert_eq!(placed.header("location"), format!("/api/orders/{order}"));
    let confirmed = customer.get(&reservation).await.ok(200);
    assert_eq!(
        (&confirmed["status"], &confirmed["order_id"]),
        (&json!("confirmed"), &json!(order))
    );
    let _ = service.pay(&order).await.ok(200);
    assert_eq!(service.admin().order(&order).await["status"], "paid");
    books_balance(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_confirmation_by_card_gets_the_original_response_even_after_the_payment() {
    let (service, product) = shop().await;
    let customer = service.customer();
    let confirm = format!("{}/confirm", hold_two(&customer, product).await);
    let by_card = json!({"payment_method": "card"});
    let first = customer.post_once("once", &confirm, &by_card).await;
    let order = id_of(&first.ok(201));
    let again = customer.post_once("once", &confirm, &by_card).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("idempotency-replayed"), "true");
    let other = customer
        .post_once("once", &confirm, &json!({"payment_method": "credit"}))
        .await;
    let _ = other.refused(422, "idempotency_key_reused");
    let _ = service.pay(&order).await.ok(200);
    let again = customer.post_once("once", &confirm, &by_card).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    books_balance(&service).await;
}
