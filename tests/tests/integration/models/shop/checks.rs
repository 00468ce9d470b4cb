//! This module compares the database with the model and checks invariants that hold for any history.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::Authority;
use domain::card::provider::RefundState;
use domain::stock::reservations;
use entity::{OrderId, RefundId};
use sea_orm::ActiveEnum;
use serde_json::Value;
use tests::{differences, verified};

use super::service::{Shop, caller};

impl Shop {
    /// Asserts that accounts, stock, waitlists, statuses, money and the provider's state equal the model's.
    pub(crate) async fn check(&mut self) {
        self.check_accounts().await;
        let stock = "SELECT product_id AS id, on_hand, reserved, waiting FROM inventory";
        let stock = by_id(self.rows(stock).await);
        for (number, product) in self.model.products.iter().enumerate() {
            let row = &stock[&product.id.to_string()];
            let count = |name: &str| row[name].as_i64().unwrap();
            let found = (count("on_hand"), count("reserved"), count("waiting"));
            let waiting = i64::try_from(self.model.waiting(number)).unwrap();
            let expected = (product.on_hand, self.model.reserved(number), waiting);
            assert_eq!(found, expected, "product {number} {}", self.at());
        }
        self.check_holds().await;
        self.check_orders().await;
        let inner = self.provider.lock();
        assert_eq!(
            inner.provider_account,
            self.model.provider_account,
            "{}",
            self.at()
        );
        assert!(inner.calls.is_empty(), "{:?} {}", inner.calls, self.at());
    }

    async fn check_accounts(&self) {
        let accounts = "SELECT id, (balance * 100)::bigint AS balance, (credit_limit * 100)::bigint AS credit, on_hold
                          FROM customers";
        let accounts = by_id(self.rows(accounts).await);
        for (number, customer) in self.model.customers.iter().enumerate() {
            let row = &accounts[&customer.id.to_string()];
            let found = (row["balance"].as_i64(), row["credit"].as_i64());
            let expected = (Some(self.model.owed(number)), Some(customer.credit));
            assert_eq!(found, expected, "customer {number} {}", self.at());
            assert_eq!(
                row["on_hold"],
                customer.on_hold,
                "customer {number} {}",
                self.at()
            );
        }
    }

    async fn check_holds(&self) {
        let all = by_id(self.rows(HOLDS).await);
        assert_eq!(all.len(), self.model.holds.len(), "{}", self.at());
        for (number, hold) in self.model.holds.iter().enumerate() {
            let row = &all[&hold.id.to_string()];
            let status = serde_json::to_value(hold.status(self.model.now)).unwrap();
            let place = serde_json::to_value(self.model.place(number)).unwrap();
            let ticks = self.model.ticks(hold.expires);
            let found = (
                &row["status"],
                &row["place"],
                row["ticks"].as_i64(),
                &row["agree"],
            );
            let expected = (&status, &place, Some(ticks), &Value::Bool(true));
            assert_eq!(found, expected, "reservation {number} {}", self.at());
        }
    }

    /// Asserts that a customer reads the expected status and position.
    pub(crate) async fn read_one(&self, at: usize) {
        let hold = &self.model.holds[at];
        let staff = caller(Authority::Staff);
        let found = reservations::read(&self.pool, &staff, hold.id).await;
        let found = found.unwrap();
        let expected = (hold.status(self.model.now), self.model.place(at));
        let place = found.place.map(|place| usize::try_from(place).unwrap());
        assert_eq!((found.status, place), expected, "{at} {}", self.at());
    }

    async fn check_orders(&mut self) {
        let all = by_id(self.rows(ORDERS).await);
        assert_eq!(all.len(), self.model.orders.len(), "{}", self.at());
        for at in 0..self.model.orders.len() {
            let row = &all[&self.model.orders[at].id.to_string()];
            let ids = row["refunds"].as_array().unwrap().iter();
            let ids: Vec<RefundId> = ids
                .map(|refund| refund["id"].as_str().unwrap().parse().unwrap())
                .collect();
            self.model.name_refunds(at, &ids);
            let order = &self.model.orders[at];
            let steps = serde_json::to_value(&order.steps).unwrap();
            let status = serde_json::to_value(order.status).unwrap();
            let reason = order.reason.map(|reason| Value::from(reason.to_value()));
            let found = (&row["status"], &row["cancel_reason"], &row["steps"]);
            let expected = (&status, &reason.unwrap_or_default(), &steps);
            assert_eq!(found, expected, "order {at} {}", self.at());
            let Some(card) = &order.card else { continue };
            let intent = serde_json::to_value(card.intent).unwrap();
            let ticks = self.model.ticks(card.expires);
            let found = (
                &row["intent"],
                row["known"].as_bool().unwrap(),
                row["secret"].as_bool().unwrap(),
                row["has_failed"].as_bool().unwrap(),
                row["agree"].as_bool().unwrap(),
                row["ticks"].as_i64().unwrap(),
            );
            let (known, secret, failed) = (card.known, card.secret, card.has_failed);
            let expected = (&intent, known, secret, failed, true, ticks);
            assert_eq!(found, expected, "order {at}'s intent {}", self.at());
            let found = (row["paid"].as_i64(), row["refunded"].as_i64());
            let expected = (Some(card.paid), Some(card.refunded()));
            assert_eq!(found, expected, "order {at}'s money {}", self.at());
            let refunds = card.refunds.iter().map(|refund| {
                serde_json::json!({
                    "id": refund.id,
                    "amount": refund.amount,
                    "status": refund.status,
                    "restock": refund.restock,
                    "known": refund.known,
                })
            });
            let refunds = Value::from(refunds.collect::<Vec<_>>());
            assert_eq!(
                row["refunds"],
                refunds,
                "order {at}'s refunds {}",
                self.at()
            );
            let is_due = row["is_due"].as_bool().unwrap();
            let may_be = match row["intent"].as_str().unwrap() {
                "requested" | "pending" | "cancelling" => is_due,
                // Refunds of these payments are read again from the provider.
                "mismatched" | "succeeded" => true,
                _ => !is_due,
            };
            assert!(may_be, "order {at} is {row} {}", self.at());
        }
    }

    /// Asserts that stock was allocated in order of arrival, which is the order of ids. Returns how often it was.
    pub(crate) async fn allocated_in_order(&self) -> usize {
        let allocated = self.rows(ALLOCATED).await;
        let mut last: HashMap<&str, &str> = HashMap::new();
        for row in &allocated {
            let text = |name: &str| row[name].as_str().unwrap();
            let before = last.insert(text("product_id"), text("id")).unwrap_or("");
            assert!(
                before < text("id"),
                "{row} was allocated after {before} {}",
                self.at()
            );
        }
        allocated.len()
    }

    pub(crate) async fn keep_the_laws(&self) {
        let found = differences(&self.database).await;
        assert!(found.is_empty(), "{found:#?} {}", self.at());
        let found = verified(&self.database).await;
        assert!(found.is_empty(), "{found:#?} {}", self.at());
    }

    /// The statuses and reasons that this history has reached.
    pub(crate) async fn seen(&self) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        for row in self.rows(ORDERS).await {
            let mut see = |what: &str, value: &Value| {
                if let Some(value) = value.as_str() {
                    seen.insert(format!("{what} {value}"));
                }
            };
            see("order", &row["status"]);
            see("intent", &row["intent"]);
            see("reason", &row["cancel_reason"]);
            for refund in row["refunds"].as_array().unwrap() {
                see("refund", &refund["status"]);
                if refund["amount"] == 0 {
                    see("refund of nothing", &refund["status"]);
                }
            }
        }
        seen
    }

    /// Asserts the invariants of a finished history. No expired order is open, no finished order holds stock, and the
    /// provider has exactly the money of the paid orders.
    pub(crate) async fn keep_the_last_laws(&self) {
        let orders = self.rows(ORDERS).await;
        let inner = self.provider.lock();
        let provider_account = &inner.provider_account;
        for row in orders.iter().filter(|row| row["intent"].is_string()) {
            let text = |name: &str| row[name].as_str().unwrap();
            let id: OrderId = text("id").parse().unwrap();
            let is_mismatched = text("intent") == "mismatched";
            let is_open = ["created", "payment_pending"].contains(&text("status"));
            assert!(!is_open, "{row} {}", self.at());
            let is_settled = !["requested", "pending", "cancelling"].contains(&text("intent"));
            assert!(is_settled, "{row} {}", self.at());
            assert_eq!(row["held"], 0, "{row} {}", self.at());
            assert_eq!(row["is_due"], false, "{row} {}", self.at());
            let minor = |name: &str| row[name].as_i64().unwrap();
            let ours = minor("paid") - minor("refunded");
            let theirs = if is_mismatched {
                0
            } else {
                provider_account.left(id)
            };
            assert_eq!(ours, theirs, "{row} {}", self.at());
            let mut refunds = row["refunds"].as_array().unwrap().iter();
            let has_failed = refunds.any(|refund| refund["status"] == "failed");
            let is_kept = text("status") == "cancelled" && ours != 0;
            assert!(!is_kept || has_failed, "{row} {}", self.at());
            for refund in row["refunds"].as_array().unwrap() {
                let id: RefundId = refund["id"].as_str().unwrap().parse().unwrap();
                let state = provider_account.refunds.get(&id).map(|given| &given.state);
                let agree = match refund["status"].as_str().unwrap() {
                    // The model does not know the provider's ids of manual refunds.
                    "succeeded" => matches!(state, None | Some(Some(RefundState::Succeeded))),
                    "failed" => matches!(state, Some(None | Some(RefundState::Failed(_)))),
                    _ => false,
                };
                assert!(agree, "{state:?} {row} {}", self.at());
            }
        }
    }
}

fn by_id(rows: Vec<Value>) -> BTreeMap<String, Value> {
    let rows = rows.into_iter();
    rows.map(|row| (row["id"].as_str().unwrap().to_owned(), row))
        .collect()
}

/// The status and position that clients see, and the number of ticks left.
const HOLDS: &str = "
SELECT r.id, seen.status, waitlist.place, ceil(extract(epoch FROM r.expires_at - now()) / 600)::bigint AS ticks,
       (SELECT bool_and(i.expires_at = r.expires_at) FROM reservation_items i WHERE i.reservation_id = r.id) AS agree
  FROM reservations r
 CROSS JOIN LATERAL (
        SELECT CASE WHEN r.status IN ('waiting', 'active') AND r.expires_at <= now() THEN 'expired' ELSE r.status END
       ) AS seen (status)
  LEFT JOIN (SELECT reservation_id, row_number() OVER (PARTITION BY product_id ORDER BY place) AS place
               FROM reservation_items WHERE place IS NOT NULL AND expires_at > now()) AS waitlist
    ON waitlist.reservation_id = r.id";

const ALLOCATED: &str = "
SELECT i.product_id, e.entity_id AS id
  FROM audit_events e JOIN reservation_items i ON (i.business_id, i.reservation_id) = (e.business_id, e.entity_id)
 WHERE e.action = 'reservation.served'
 ORDER BY e.id";

const ORDERS: &str = "
SELECT o.id, o.status, o.cancel_reason, ((o.amount_settled - o.amount_credited) * 100)::bigint AS paid,
       (o.amount_refunded * 100)::bigint AS refunded, i.status AS intent, i.provider_id IS NOT NULL AS known,
       i.client_secret IS NOT NULL AS secret, i.failure IS NOT NULL AS has_failed, i.next_try_at IS NOT NULL AS is_due,
       coalesce(i.expires_at = o.due_at, false) AS agree,
       ceil(extract(epoch FROM i.expires_at - now()) / 600)::bigint AS ticks,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(from_status, to_status) ORDER BY number), '[]')
          FROM order_transitions t WHERE t.order_id = o.id) AS steps,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'amount', (amount * 100)::bigint, 'status', status,
                                                     'restock', restock, 'known', provider_id IS NOT NULL)
                                  ORDER BY id), '[]')
          FROM refunds r WHERE r.order_id = o.id) AS refunds,
       (SELECT count(*) FROM reservation_items h WHERE h.reservation_id = i.reservation_id AND h.held) AS held
  FROM orders o LEFT JOIN payment_intents i ON i.order_id = o.id
 WHERE o.created_by NOT IN (SELECT actor_id FROM audit_events WHERE request_id = 'demo')";
