//! This module places and pays orders by card with the offline provider, which needs no network. Users of the embedded
//! start get the same provider.

use domain::card;
use domain::card::checkout::{Event, EventKind, EventOutcome};
use domain::card::provider::Offline;
use domain::demo;
use entity::{OrderId, ProductId};
use serde_json::{Value, json};

use crate::{Client, Database, Reply, SERVICE, Service, purchase};

impl Service {
    /// Reports an order's payment as succeeded, as the buyer's page would.
    pub async fn pay(&self, order: &str) -> Reply {
        self.tell(order, "succeed").await
    }

    /// Reports an attempt to pay an order as failed.
    pub async fn decline(&self, order: &str) -> Reply {
        self.tell(order, "fail").await
    }

    async fn tell(&self, order: &str, what: &str) -> Reply {
        let found = self
            .admin()
            .get(&format!("/api/orders/{order}"))
            .await
            .ok(200);
        let intent = found["payments"][0]["intent"].as_str().unwrap();
        let path = format!("/api/dev/payments/{intent}/{what}");
        self.nobody().post(&path, &json!({})).await
    }
}

impl Database {
    /// Sets the payment deadline of an order to one second ago. The payment worker and the sweeper process it later.
    pub async fn let_time_pass(&self, order: &str) {
        let sql = format!(
            "WITH over AS (SELECT now() - interval '1 second' AS at),
                  held AS (SELECT reservation_id AS id FROM payment_intents WHERE order_id = '{order}'),
                  items AS (UPDATE reservation_items SET expires_at = at FROM over
                             WHERE reservation_id IN (SELECT id FROM held)),
                  reservations AS (UPDATE reservations SET expires_at = at FROM over WHERE id IN (SELECT id FROM held)),
                  intents AS (UPDATE payment_intents SET expires_at = at, next_try_at = least(next_try_at, at)
                                FROM over WHERE order_id = '{order}')
             UPDATE orders SET due_at = at FROM over WHERE id = '{order}'"
        );
        self.execute(&sql).await;
    }
}

impl Client {
    /// Places an order by card for the demo customer. Each item is a product and a quantity.
    pub async fn checkout(&self, items: &[(ProductId, i64)]) -> Reply {
        let body = purchase(demo::ACME_CUSTOMER, items);
        self.post("/api/orders/checkout", &body).await
    }

    /// Calls [`Client::checkout`], expects 201 and returns the order's id.
    pub async fn order_by_card(&self, items: &[(ProductId, i64)]) -> String {
        id_of(&self.checkout(items).await.ok(201))
    }

    /// Reads the current state of an order from the API.
    pub async fn order(&self, order: &str) -> Value {
        self.get(&format!("/api/orders/{order}")).await.ok(200)
    }

    /// Posts to `/api/orders/{order}/{what}`, where `what` is `cancel`, `refund` and so on.
    pub async fn do_to(&self, order: &str, what: &str, body: &Value) -> Reply {
        let path = format!("/api/orders/{order}/{what}");
        self.post(&path, body).await
    }
}

/// Applies the provider's event that an order of Acme's is paid, directly in the domain.
pub async fn pay(database: &Database, order: OrderId) {
    let service = domain::Database::new(&database.url(SERVICE), 1).unwrap();
    let (total, currency) = card::amount_due(&service, demo::ACME, order).await.unwrap();
    let event = Event {
        provider: Offline::NAME,
        id: format!("paid-{order}"),
        kind: "payment_intent.succeeded".to_owned(),
        business_id: demo::ACME,
        order_id: order,
        intent: Offline::intent_of(demo::ACME, order),
        event_kind: EventKind::Paid(Offline::received(total, currency)),
    };
    assert_eq!(
        card::receive(&service, &Offline, &event).await.unwrap(),
        EventOutcome::Now
    );
    service.close().await;
}

/// Returns the member `order_id` of a response.
#[must_use]
pub fn id_of(answer: &Value) -> String {
    answer["order_id"].as_str().unwrap().to_owned()
}
