//! Whether a shop has become what the lists say, and what holds whatever they say.

use std::collections::{BTreeMap, BTreeSet};

use domain::card::provider::RefundState;
use entity::{OrderId, RefundId};
use sea_orm::ActiveEnum;
use serde_json::Value;
use tests::{differences, verified};

use super::lists::minor;
use super::shop::Shop;

impl Shop {
    /// Counts, statuses, money and what the provider knows are the model's.
    pub(super) async fn check(&mut self) {
        let stock = "SELECT product_id AS id, on_hand, reserved, waiting FROM inventory";
        let stock = by_id(self.rows(stock).await);
        for (number, product) in self.lists.products.iter().enumerate() {
            let row = &stock[&product.id.to_string()];
            let count = |name: &str| row[name].as_i64().unwrap();
            let found = (count("on_hand"), count("reserved"), count("waiting"));
            let waiting = i64::try_from(self.lists.waiting(number)).unwrap();
            let expected = (product.on_hand, self.lists.reserved(number), waiting);
            assert_eq!(found, expected, "product {number} {}", self.at());
        }
        self.check_holds().await;
        self.check_orders().await;
        let inner = self.counter.look();
        assert_eq!(inner.till, self.lists.till, "{}", self.at());
        assert!(inner.asked.is_empty(), "{:?} {}", inner.asked, self.at());
    }

    async fn check_holds(&self) {
        let all = by_id(self.rows(HOLDS).await);
        assert_eq!(all.len(), self.lists.holds.len(), "{}", self.at());
        for (number, hold) in self.lists.holds.iter().enumerate() {
            let row = &all[&hold.id.to_string()];
            let status = serde_json::to_value(hold.status(self.lists.now)).unwrap();
            let ticks = self.lists.ticks(hold.expires);
            let found = (&row["status"], row["ticks"].as_i64(), &row["agree"]);
            let expected = (&status, Some(ticks), &Value::Bool(true));
            assert_eq!(found, expected, "reservation {number} {}", self.at());
        }
    }

    async fn check_orders(&mut self) {
        let all = by_id(self.rows(ORDERS).await);
        assert_eq!(all.len(), self.lists.orders.len(), "{}", self.at());
        for at in 0..self.lists.orders.len() {
            let row = &all[&self.lists.orders[at].id.to_string()];
            let ids = row["refunds"].as_array().unwrap().iter();
            let ids: Vec<RefundId> = ids
                .map(|refund| refund["id"].as_str().unwrap().parse().unwrap())
                .collect();
            self.lists.name_refunds(at, &ids);
            let order = &self.lists.orders[at];
            let steps = serde_json::to_value(&order.steps).unwrap();
            let status = serde_json::to_value(order.status).unwrap();
            let reason = order.reason.map(|reason| Value::from(reason.to_value()));
            let found = (&row["status"], &row["cancel_reason"], &row["steps"]);
            let expected = (&status, &reason.unwrap_or_default(), &steps);
            assert_eq!(found, expected, "order {at} {}", self.at());
            let Some(card) = &order.card else { continue };
            let intent = serde_json::to_value(card.intent).unwrap();
            let ticks = self.lists.ticks(card.expires);
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
            let expected = (Some(minor(card.paid)), Some(minor(card.refunded())));
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
                // Whose refunds are read again.
                "mismatched" | "succeeded" => true,
                _ => !is_due,
            };
            assert!(may_be, "order {at} is {row} {}", self.at());
        }
    }

    pub(super) async fn keep_the_laws(&self) {
        let found = differences(&self.database).await;
        assert!(found.is_empty(), "{found:#?} {}", self.at());
        let found = verified(&self.database).await;
        assert!(found.is_empty(), "{found:#?} {}", self.at());
    }

    /// What has come about.
    pub(super) async fn seen(&self) -> BTreeSet<String> {
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

    /// Once all is quiet: nothing is open whose time is over, nothing is held for what is over, and the provider has the
    /// money of the orders that are paid and no other.
    pub(super) async fn keep_the_last_laws(&self) {
        let orders = self.rows(ORDERS).await;
        let inner = self.counter.look();
        let till = &inner.till;
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
            let theirs = if is_mismatched { 0 } else { till.left(id) };
            assert_eq!(ours, theirs, "{row} {}", self.at());
            let mut refunds = row["refunds"].as_array().unwrap().iter();
            let has_failed = refunds.any(|refund| refund["status"] == "failed");
            let is_kept = text("status") == "cancelled" && ours != 0;
            assert!(!is_kept || has_failed, "{row} {}", self.at());
            for refund in row["refunds"].as_array().unwrap() {
                let id: RefundId = refund["id"].as_str().unwrap().parse().unwrap();
                let state = till.refunds.get(&id).map(|given| &given.state);
                let agree = match refund["status"].as_str().unwrap() {
                    // Those that were made by hand have no id there that we know.
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

/// What everyone can see, and how many ticks are left.
const HOLDS: &str = "
SELECT r.id, seen.status, ceil(extract(epoch FROM r.expires_at - now()) / 600)::bigint AS ticks,
       (SELECT bool_and(i.expires_at = r.expires_at) FROM reservation_items i WHERE i.reservation_id = r.id) AS agree
  FROM reservations r
 CROSS JOIN LATERAL (
        SELECT CASE WHEN r.status IN ('waiting', 'active') AND r.expires_at <= now() THEN 'expired' ELSE r.status END
       ) AS seen (status)";

const ORDERS: &str = "
SELECT o.id, o.status, o.cancel_reason, ((o.amount_settled - o.amount_credited) * 100)::bigint AS paid,
       (o.amount_refunded * 100)::bigint AS refunded, i.status AS intent, i.provider_id IS NOT NULL AS known,
       i.client_secret IS NOT NULL AS secret, i.failure IS NOT NULL AS has_failed, i.next_try_at IS NOT NULL AS is_due,
       coalesce(i.expires_at = o.due_at, false) AS agree,
       ceil(extract(epoch FROM i.expires_at - now()) / 600)::bigint AS ticks,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(from_status, to_status) ORDER BY number), '[]')
          FROM order_transitions t WHERE t.order_id = o.id) AS steps,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'amount', amount::bigint, 'status', status,
                                                     'restock', restock, 'known', provider_id IS NOT NULL)
                                  ORDER BY id), '[]')
          FROM refunds r WHERE r.order_id = o.id) AS refunds,
       (SELECT count(*) FROM reservation_items h WHERE h.reservation_id = i.reservation_id AND h.held) AS held
  FROM orders o LEFT JOIN payment_intents i ON i.order_id = o.id
 WHERE o.created_by NOT IN (SELECT actor_id FROM audit_events WHERE request_id = 'demo')";
