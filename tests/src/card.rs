//! Orders by card, paid with the provider that stays on the machine, which tests have as a user of the embedded start has.

use domain::card;
use domain::card::checkout::{Event, EventKind, EventOutcome};
use domain::card::provider::Offline;
use domain::demo;
use entity::{OrderId, ProductId};
use serde_json::{Value, json};

use crate::{Client, Database, Reply, SERVICE, Service, purchase};

impl Service {
    /// Has an order paid, as the buyer's page would.
    pub async fn pay(&self, order: &str) -> Reply {
        self.tell(order, "succeed").await
    }

    /// Has a try to pay an order fail.
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
    /// The time of an order to be paid is over; nobody has seen to it yet.
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
    /// Orders by card for the demo customer.
    pub async fn checkout(&self, items: &[(ProductId, i64)]) -> Reply {
        let body = purchase(demo::ACME_CUSTOMER, items);
        self.post("/api/orders/checkout", &body).await
    }

    /// As [`Client::checkout`]; the order's id.
    pub async fn order_by_card(&self, items: &[(ProductId, i64)]) -> String {
        id_of(&self.checkout(items).await.ok(201))
    }

    /// An order as it is now.
    pub async fn order(&self, order: &str) -> Value {
        self.get(&format!("/api/orders/{order}")).await.ok(200)
    }

    /// What is done to an order.
    pub async fn do_to(&self, order: &str, what: &str, body: &Value) -> Reply {
        let path = format!("/api/orders/{order}/{what}");
        self.post(&path, body).await
    }
}

/// Has the provider tell that an order of Acme's is paid.
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
        told: EventKind::Paid(Offline::received(total, currency)),
    };
    assert_eq!(
        card::receive(&service, &Offline, &event).await.unwrap(),
        EventOutcome::Now
    );
    service.close().await;
}

/// The order's id in an answer.
#[must_use]
pub fn id_of(answer: &Value) -> String {
    answer["order_id"].as_str().unwrap().to_owned()
}
