//! This module holds a service whose payment provider is a [`Stripe`]. Events arrive only when a test sends them,
//! signed as Stripe signs. Tests can therefore send them late, twice and in any order.

use std::sync::atomic::{AtomicU32, Ordering};

use chrono::Utc;
use domain::demo::ACME_KEYBOARD;
use entity::ProductId;
use reqwest::Method;
use serde_json::{Value, json};

use crate::stripe::{Stripe, WEBHOOK_SECRET, hmac};
use crate::{Database, Reply, SERVICE, Service, id_of};

/// A service and its Stripe; see [the module](self).
pub struct StripeShop {
    /// The payment provider.
    pub stripe: Stripe,
    /// The service under test.
    pub service: Service,
    events_sent: AtomicU32,
}

impl StripeShop {
    /// Starts both on a new database with the demo data, in USD.
    pub async fn open() -> Self {
        Self::on(Database::with_demo().await).await
    }

    /// Starts both with the demo data, where all businesses have this currency.
    pub async fn in_currency(currency: &str) -> Self {
        let database = Database::with_demo().await;
        let change = format!("UPDATE businesses SET currency = '{currency}'");
        database.execute(&change).await;
        Self::on(database).await
    }

    async fn on(database: Database) -> Self {
        let stripe = Stripe::start().await;
        let url = database.url(SERVICE);
        let service = Service::with(database, &url, &stripe.settings()).await;
        Self {
            stripe,
            service,
            events_sent: AtomicU32::new(0),
        }
    }

    /// Places an order by card that can be paid. Returns the ids of the order and of its intent.
    pub async fn order(&self, items: &[(ProductId, i64)]) -> (String, String) {
        let placed = self.service.customer().checkout(items).await.ok(201);
        let secret = placed["client_secret"].as_str().unwrap();
        let intent = secret.split("_secret").next().unwrap();
        (id_of(&placed), intent.to_owned())
    }

    /// Places and pays an order of two keyboards, 100.00. Returns the ids of the order and of its intent.
    pub async fn paid(&self) -> (String, String) {
        let (order, intent) = self.order(&[(ACME_KEYBOARD, 2)]).await;
        self.pay(&intent).await;
        assert_eq!(self.order_now(&order).await["status"], "paid");
        (order, intent)
    }

    /// Pays an intent and sends the event about it.
    pub async fn pay(&self, intent: &str) {
        self.stripe.pay(intent).await;
        let object = self.stripe.get(&format!("payment_intents/{intent}")).await;
        let reply = self.tell("payment_intent.succeeded", object).await;
        let _ = reply.ok(200);
    }

    /// Reads the current state of an order as an admin.
    pub async fn order_now(&self, order: &str) -> Value {
        self.service.admin().order(order).await
    }

    /// Sends an event about a refund of this payment.
    pub async fn tell_refund(&self, kind: &str, intent: &str) -> Reply {
        let refund =
            json!({"id": "re_told", "object": "refund", "payment_intent": intent, "metadata": {}});
        self.tell(kind, refund).await
    }

    /// Stores a dispute at Stripe and sends the event about it.
    pub async fn tell_dispute(&self, kind: &str, dispute: &Value) -> Reply {
        self.stripe.dispute(dispute);
        self.tell(kind, dispute.clone()).await
    }

    /// Sends an event of this kind about this object, with a new event id.
    pub async fn tell(&self, kind: &str, object: Value) -> Reply {
        let number = self.events_sent.fetch_add(1, Ordering::Relaxed);
        self.tell_as(&format!("evt_{number}"), kind, object).await
    }

    /// Sends an event as [`StripeShop::tell`] does, with this event id.
    pub async fn tell_as(&self, id: &str, kind: &str, object: Value) -> Reply {
        let event = json!({"id": id, "object": "event", "type": kind, "data": {"object": object}});
        let (body, at) = (event.to_string(), Utc::now().timestamp());
        let signature = format!(
            "t={at},v1={}",
            hmac(WEBHOOK_SECRET, &format!("{at}.{body}"))
        );
        let nobody = self.service.nobody();
        let request = nobody.request(Method::POST, "/api/webhooks/stripe");
        let request = request.header("stripe-signature", signature);
        nobody.send(request.body(body)).await
    }

    /// Ids of Stripe's refunds, newest first.
    pub async fn refund_ids(&self) -> Vec<String> {
        let refunds = self.stripe.get("refunds").await;
        let refunds = refunds["data"].as_array().unwrap().iter();
        let ids = refunds.map(|refund| refund["id"].as_str().unwrap().to_owned());
        ids.collect()
    }

    /// Id of the first refund of this amount, in minor units.
    pub async fn refund_of(&self, minor: i64) -> String {
        let refunds = self.stripe.get("refunds").await;
        let mut refunds = refunds["data"].as_array().unwrap().iter();
        let found = refunds.find(|refund| refund["amount"] == minor).unwrap();
        found["id"].as_str().unwrap().to_owned()
    }
}

/// A dispute of 100.00 in Stripe's format, due by 2030-01-01.
#[must_use]
pub fn dispute(intent: &str, status: &str) -> Value {
    json!({
        "id": "dp_1", "object": "dispute", "amount": 10_000, "currency": "usd", "charge": "ch_1",
        "payment_intent": intent, "reason": "fraudulent", "status": status, "metadata": {},
        "evidence_details": {"due_by": 1_893_456_000},
        "balance_transactions": [{"id": "txn_1", "amount": -10_000}],
    })
}
