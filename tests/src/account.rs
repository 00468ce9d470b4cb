//! This module builds a customer's account with chosen past dates. It inserts sales, payments and corrections as rows,
//! as the service would have written them on those dates. Tests use the API for everything that happens now.

use chrono::{DateTime, Utc};
use domain::demo::{ACME, ACME_KEYBOARD};
use entity::{CustomerId, OrderId};
use uuid::{NoContext, Timestamp, Uuid};

use crate::{Database, Service};

/// One customer's account at Acme.
#[derive(Debug, Clone)]
pub struct Account {
    database: Database,
    /// The customer who owes the balance.
    pub customer: CustomerId,
}

/// A document that reduces a customer's balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credit {
    /// A payment by cheque.
    Payment,
    /// A credit note for this order, without restock.
    CreditNote(OrderId),
    /// A write-off of the balance due of this order.
    WriteOff(OrderId),
}

/// An id as the service would have made it at this time.
#[must_use]
pub fn id_at(at: DateTime<Utc>) -> Uuid {
    let seconds = at.timestamp().unsigned_abs();
    Uuid::new_v7(Timestamp::from_unix(
        NoContext,
        seconds,
        at.timestamp_subsec_nanos(),
    ))
}

impl Account {
    /// Creates a customer with a credit limit of 100,000.00 and no entries.
    pub async fn open(service: &Service, name: &str) -> Self {
        let customer = service.admin().add_customer(name, "100000.00").await;
        let database = service.database.clone();
        Self { database, customer }
    }

    /// Inserts a sale of one keyboard at `at` (RFC 3339), due `due_days` later. `total` is in major units.
    pub async fn sell(&self, at: &str, due_days: u32, total: &str) -> OrderId {
        let (order, customer) = (OrderId(id_at(at.parse().unwrap())), self.customer);
        let sql = format!(
            "INSERT INTO orders (business_id, id, customer_id, status, payment_method, total_amount, due_at, created_by,
                                 created_at)
             VALUES ('{ACME}', '{order}', '{customer}', 'approved', 'credit', {total},
                     '{at}'::timestamptz + interval '{due_days} days', '{order}', '{at}');
             UPDATE inventory SET on_hand = on_hand - 1 WHERE product_id = '{ACME_KEYBOARD}';
             INSERT INTO order_items (business_id, order_id, product_id, line, sku, name, quantity, unit_price,
                                      line_total, on_hand_after)
             SELECT '{ACME}', '{order}', product_id, 0, 'KEY-001', 'Keyboard', 1, {total}, {total}, on_hand
               FROM inventory WHERE product_id = '{ACME_KEYBOARD}';
             INSERT INTO audit_events (business_id, id, action, entity_type, entity_id, actor_id, actor_role, request_id,
                                       after)
             VALUES ('{ACME}', gen_random_uuid(), 'order.approved', 'order', '{order}', '{order}', 'staff', 'past', '{{}}');
             {}",
            self.entry("charge", total, &format!("'{order}'"), &format!("'{at}'"))
        );
        self.database.execute(&sql).await;
        order
    }

    /// Inserts a payment received at `at` that settles each of `orders` with the given amount. The remainder stays on
    /// account. Returns the number of the ledger entry.
    pub async fn pay(&self, at: &str, amount: &str, orders: &[(OrderId, &str)]) -> i64 {
        self.credit(Credit::Payment, at, amount, orders).await
    }

    /// Inserts a credit of any kind with its allocations; see [`Account::pay`] for the parameters. Returns the number
    /// of the ledger entry.
    pub async fn credit(
        &self,
        credit: Credit,
        at: &str,
        amount: &str,
        orders: &[(OrderId, &str)],
    ) -> i64 {
        let (customer, document) = (self.customer, Uuid::now_v7());
        let newest = format!("FROM customers WHERE id = '{customer}'");
        let kind = match credit {
            Credit::Payment => "payment",
            Credit::CreditNote(_) => "credit_note",
            Credit::WriteOff(_) => "write_off",
        };
        let mut sql = self.entry(kind, &format!("-{amount}"), "NULL", &format!("'{at}'"));
        sql += &match credit {
            Credit::Payment => format!(
                "INSERT INTO payments (business_id, id, customer_id, entry_number, amount, method, reference, received_at,
                                       created_by)
                 SELECT '{ACME}', '{document}', id, entry_count, {amount}, 'cheque', 'No. 7', '{at}', id {newest};"
            ),
            Credit::CreditNote(order) => format!(
                "INSERT INTO credit_notes (business_id, id, customer_id, entry_number, order_id, amount, reason, restock,
                                           created_by)
                 SELECT '{ACME}', '{document}', id, entry_count, '{order}', {amount}, 'scratched', false, id {newest};"
            ),
            Credit::WriteOff(order) => format!(
                "INSERT INTO write_offs (business_id, id, customer_id, entry_number, order_id, amount, reason, created_by)
                 SELECT '{ACME}', '{document}', id, entry_count, '{order}', {amount}, 'bankrupt', id {newest};"
            ),
        };
        let credited = if kind == "payment" { "0" } else { "1" };
        for (order, share) in orders {
            sql += &format!(
                "INSERT INTO allocations (business_id, id, customer_id, entry_number, order_id, amount, effective_at)
                 SELECT '{ACME}', gen_random_uuid(), c.id, c.entry_count, o.id, {share},
                        greatest('{at}', o.created_at, (SELECT max(effective_at) FROM allocations
                                                         WHERE order_id = o.id AND amount < 0))
                   FROM customers c, orders o WHERE c.id = '{customer}' AND o.id = '{order}';
                 UPDATE orders SET amount_settled = amount_settled + {share},
                                   amount_credited = amount_credited + {credited} * {share} WHERE id = '{order}';"
            );
        }
        let shares: Vec<&str> = orders.iter().map(|(_, share)| *share).collect();
        let rest = format!(
            "{amount} - ({})",
            [&["0"], &shares[..]].concat().join(" + ")
        );
        sql += &format!(
            "INSERT INTO credits_on_account (business_id, customer_id, entry_number, amount)
             SELECT '{ACME}', id, entry_count, {rest} {newest} AND {rest} > 0;
             UPDATE customers SET on_account = on_account + {rest} WHERE id = '{customer}';"
        );
        self.database.execute(&sql).await;
        let number = format!("SELECT entry_count {newest}");
        self.database.value(&number).await.parse().unwrap()
    }

    /// Reverses the credit with this entry number, now: its allocations are taken back and its amount on account is
    /// removed.
    pub async fn reverse(&self, number: i64) {
        let customer = self.customer;
        let undone = format!(
            "SELECT order_id, sum(amount) AS amount FROM allocations
              WHERE customer_id = '{customer}' AND entry_number = {number} GROUP BY order_id HAVING sum(amount) <> 0"
        );
        let of = format!("customer_id = '{customer}' AND number = {number}");
        let amount = format!("SELECT -amount FROM ledger_entries WHERE {of}");
        let amount = self.database.value(&amount).await;
        let sql = format!(
            "UPDATE orders SET amount_settled = amount_settled - undone.amount,
                    amount_credited = amount_credited
                        - CASE (SELECT kind FROM ledger_entries WHERE {of}) WHEN 'payment' THEN 0 ELSE undone.amount END
               FROM ({undone}) AS undone WHERE orders.id = undone.order_id;
             INSERT INTO allocations (business_id, id, customer_id, entry_number, order_id, amount, effective_at)
             SELECT '{ACME}', gen_random_uuid(), '{customer}', {number}, order_id, -amount, now() FROM ({undone}) AS u;
             UPDATE customers SET on_account = on_account - rest.amount FROM credits_on_account rest
              WHERE id = '{customer}' AND rest.customer_id = id AND rest.entry_number = {number};
             DELETE FROM credits_on_account WHERE customer_id = '{customer}' AND entry_number = {number};
             {}
             INSERT INTO reversals (business_id, customer_id, entry_number, reverses, reason, created_by)
             SELECT '{ACME}', id, entry_count, {number}, 'bounced', id FROM customers WHERE id = '{customer}';",
            self.entry("reversal", &amount, "NULL", "now()")
        );
        self.database.execute(&sql).await;
    }

    /// SQL that appends one ledger entry and updates the customer's balance. `order` and `at` are SQL expressions.
    fn entry(&self, kind: &str, amount: &str, order: &str, at: &str) -> String {
        let (customer, entry) = (self.customer, Uuid::now_v7());
        format!(
            "UPDATE customers SET balance = balance + {amount}, entry_count = entry_count + 1 WHERE id = '{customer}';
             INSERT INTO ledger_entries (business_id, customer_id, number, id, kind, amount, balance_after, order_id,
                                         effective_at)
             SELECT business_id, id, entry_count, '{entry}', '{kind}', {amount}, balance, {order}, {at}
               FROM customers WHERE id = '{customer}';"
        )
    }
}
