//! This module recomputes every stored figure from its source rows, for all businesses at once.

use domain::foundation::tenants;
use domain::verify::{self, Difference};

use crate::{Database, SERVICE, Service};

/// Each row is one difference: what is wrong, where, the value that the source rows give, and the stored value.
///
/// The rules of receivables are checked at every past date too: sums of allocations are compared at each
/// `effective_at`. Orders of the demo data have no audit entries, because no caller created them.
const DIFFERENCES: &str = "
WITH ledger AS (
    SELECT business_id, customer_id, id, number, amount, balance_after,
           sum(amount) OVER (PARTITION BY business_id, customer_id ORDER BY number) AS running,
           row_number() OVER (PARTITION BY business_id, customer_id ORDER BY number) AS place,
           row_number() OVER (PARTITION BY business_id, customer_id ORDER BY number DESC) AS from_last
      FROM ledger_entries
), lines AS (
    SELECT business_id, order_id, sum(amount) AS total
      FROM (SELECT business_id, order_id, line_total AS amount FROM order_items
             UNION ALL SELECT business_id, order_id, amount FROM opening_items WHERE order_id IS NOT NULL) AS every
     GROUP BY 1, 2
), moved AS (
    SELECT business_id, product_id, sum(quantity) AS quantity
      FROM (SELECT business_id, product_id, quantity FROM stock_movements
             UNION ALL SELECT business_id, product_id, -quantity FROM order_items
                        WHERE on_hand_after IS NOT NULL) AS every
     GROUP BY 1, 2
), uses AS (
    -- What credits are used for: to settle orders, or to cover payouts.
    SELECT business_id, order_id, customer_id, entry_number, effective_at, amount FROM allocations
     UNION ALL
    SELECT business_id, NULL, customer_id, credit_entry, effective_at, amount FROM payout_allocations
), dated AS (
    -- What the uses of an order or of a credit come to at each moment at which one of them began to count.
    SELECT business_id, order_id, customer_id, entry_number, effective_at,
           sum(amount) OVER (PARTITION BY business_id, order_id ORDER BY effective_at) AS of_order,
           sum(amount) OVER (PARTITION BY business_id, customer_id, entry_number ORDER BY effective_at) AS of_credit
      FROM uses
), undone AS (
    SELECT e.business_id, e.customer_id, e.number, e.kind, e.amount, e.order_id, e.effective_at, r.reverses, u.kind AS what
      FROM reversals r
      JOIN ledger_entries e ON (e.business_id, e.customer_id, e.number) = (r.business_id, r.customer_id, r.entry_number)
      JOIN ledger_entries u ON (u.business_id, u.customer_id, u.number) = (r.business_id, r.customer_id, r.reverses)
), paid_out AS (
    -- What is missing to cover each payout at each moment at which it, a share of it or its reversal began to count.
    SELECT business_id, customer_id, number, effective_at,
           sum(amount) OVER (PARTITION BY business_id, customer_id, number ORDER BY effective_at) AS missing
      FROM (SELECT business_id, customer_id, number, effective_at, amount FROM ledger_entries WHERE kind = 'payout'
             UNION ALL
            SELECT business_id, customer_id, reverses, effective_at, amount FROM undone WHERE what = 'payout'
             UNION ALL
            SELECT business_id, customer_id, payout_entry, effective_at, -amount FROM payout_allocations) AS each
), documents AS (
    SELECT business_id, customer_id, entry_number, 'payment' AS kind, -amount AS amount FROM payments
     UNION ALL SELECT business_id, customer_id, entry_number, 'credit_note', -amount FROM credit_notes
     UNION ALL SELECT business_id, customer_id, entry_number, 'write_off', -amount FROM write_offs
     UNION ALL SELECT business_id, customer_id, entry_number, 'payout', amount FROM payouts
     UNION ALL SELECT business_id, customer_id, number, kind, amount FROM undone
), unpaid AS (
    -- What holds the stock of orders by card that are not paid yet.
    SELECT p.business_id, p.reservation_id
      FROM payment_intents p JOIN orders o ON (o.business_id, o.id) = (p.business_id, p.order_id)
     WHERE o.payment_method = 'card' AND o.status IN ('created', 'payment_pending')
), ever_paid AS (
    SELECT business_id, id, status FROM orders
     WHERE payment_method = 'card' AND status IN ('paid', 'fulfilled')
     UNION ALL
    SELECT o.business_id, o.id, o.status
      FROM orders o JOIN order_transitions t ON (t.business_id, t.order_id) = (o.business_id, o.id)
     WHERE o.payment_method = 'card' AND o.status = 'cancelled' AND t.to_status = 'paid'
), lowered AS (
    -- Whoever had its limit lowered, or owes again what a reversal has undone, may be over its limit.
    SELECT business_id, entity_id FROM audit_events
     WHERE action = 'customer.changed'
       AND (after ->> 'credit_limit')::numeric < (before ->> 'credit_limit')::numeric
     UNION ALL SELECT business_id, customer_id FROM reversals
    -- What is owed from before is not checked against the limit.
     UNION ALL SELECT business_id, customer_id FROM opening_items
), made AS (
    SELECT * FROM orders
     WHERE created_by NOT IN (SELECT actor_id FROM audit_events WHERE request_id = 'demo')
)
SELECT 'balance is not the sum of the ledger' AS what, c.id::text AS id,
       coalesce(sum(l.amount), 0)::text AS trail, c.balance::text AS found
  FROM customers c LEFT JOIN ledger l ON (l.business_id, l.customer_id) = (c.business_id, c.id)
 GROUP BY c.business_id, c.id, c.balance HAVING coalesce(sum(l.amount), 0) <> c.balance
UNION ALL
SELECT 'balance_after is not the running sum', id::text, running::text, balance_after::text
  FROM ledger WHERE running <> balance_after
UNION ALL
SELECT 'balance is not the last balance_after', c.id::text, l.balance_after::text, c.balance::text
  FROM customers c JOIN ledger l ON (l.business_id, l.customer_id) = (c.business_id, c.id) AND from_last = 1
 WHERE l.balance_after <> c.balance
UNION ALL
SELECT 'entries are not counted from 1 without a gap', id::text, place::text, number::text
  FROM ledger WHERE number <> place
UNION ALL
SELECT 'entry_count is not the number of the last entry', c.id::text, coalesce(l.number, 0)::text, c.entry_count::text
  FROM customers c LEFT JOIN ledger l ON (l.business_id, l.customer_id) = (c.business_id, c.id) AND from_last = 1
 WHERE coalesce(l.number, 0) <> c.entry_count
UNION ALL
SELECT 'balance is not the amount due less the credit on account', c.id::text,
       (coalesce(sum(o.amount_due), 0) - c.on_account)::text, c.balance::text
  FROM customers c LEFT JOIN orders o
    ON (o.business_id, o.customer_id, o.payment_method) = (c.business_id, c.id, 'credit')
 GROUP BY c.business_id, c.id, c.on_account, c.balance HAVING coalesce(sum(o.amount_due), 0) - c.on_account <> c.balance
UNION ALL
SELECT 'on_account is not the sum of the credits on account', c.id::text, coalesce(sum(a.amount), 0)::text,
       c.on_account::text
  FROM customers c LEFT JOIN credits_on_account a ON (a.business_id, a.customer_id) = (c.business_id, c.id)
 GROUP BY c.business_id, c.id, c.on_account HAVING coalesce(sum(a.amount), 0) <> c.on_account
UNION ALL
SELECT 'amount_settled is not the sum of the allocations', o.id::text,
       (coalesce(sum(a.amount), 0), coalesce(sum(a.amount) FILTER (WHERE e.kind <> 'payment'), 0))::text,
       (o.amount_settled, o.amount_credited)::text
  FROM orders o LEFT JOIN allocations a ON (a.business_id, a.order_id) = (o.business_id, o.id)
       LEFT JOIN ledger_entries e
    ON (e.business_id, e.customer_id, e.number) = (a.business_id, a.customer_id, a.entry_number)
 WHERE o.payment_method = 'credit'
 GROUP BY o.business_id, o.id, o.amount_settled, o.amount_credited
HAVING coalesce(sum(a.amount), 0) <> o.amount_settled
    OR coalesce(sum(a.amount) FILTER (WHERE e.kind <> 'payment'), 0) <> o.amount_credited
UNION ALL
SELECT 'a credit less its allocations and reversals is not its rest on account', e.id::text,
       (-e.amount - coalesce(a.amount, 0) - coalesce(u.amount, 0))::text, coalesce(c.amount, 0)::text
  FROM ledger_entries e
       LEFT JOIN (SELECT business_id, customer_id, entry_number, sum(amount) AS amount FROM uses GROUP BY 1, 2, 3) a
    ON (a.business_id, a.customer_id, a.entry_number) = (e.business_id, e.customer_id, e.number)
       LEFT JOIN undone u ON (u.business_id, u.customer_id, u.reverses) = (e.business_id, e.customer_id, e.number)
       LEFT JOIN credits_on_account c
    ON (c.business_id, c.customer_id, c.entry_number) = (e.business_id, e.customer_id, e.number)
 WHERE (e.amount < 0 OR a.amount IS NOT NULL OR c.amount IS NOT NULL)
   -- What undoes a payout gives its credits back, and is none.
   AND NOT EXISTS (SELECT FROM undone r WHERE (r.business_id, r.customer_id, r.number, r.what)
                                             = (e.business_id, e.customer_id, e.number, 'payout'))
   AND -e.amount - coalesce(a.amount, 0) - coalesce(u.amount, 0) <> coalesce(c.amount, 0)
UNION ALL
SELECT 'an order was settled by more than its total, or less than nothing, at some time', o.id::text,
       o.total_amount::text, d.of_order::text
  FROM dated d JOIN orders o ON (o.business_id, o.id) = (d.business_id, d.order_id)
 WHERE d.of_order NOT BETWEEN 0 AND o.total_amount OR d.effective_at < o.created_at OR d.effective_at > clock_timestamp()
UNION ALL
SELECT 'a credit was used over its amount, or less than nothing, at some time', e.id::text, (-e.amount)::text,
       d.of_credit::text
  FROM dated d JOIN ledger_entries e
    ON (e.business_id, e.customer_id, e.number) = (d.business_id, d.customer_id, d.entry_number)
 WHERE d.of_credit NOT BETWEEN 0 AND -e.amount OR d.effective_at < e.effective_at
UNION ALL
SELECT 'a reversed credit settles orders afterwards', e.id::text, '0', d.of_credit::text
  FROM undone u JOIN dated d
    ON (d.business_id, d.customer_id, d.entry_number) = (u.business_id, u.customer_id, u.reverses)
   AND d.effective_at >= u.effective_at
       JOIN ledger_entries e ON (e.business_id, e.customer_id, e.number) = (u.business_id, u.customer_id, u.number)
 WHERE d.of_credit <> 0
UNION ALL
SELECT 'a payout is not covered by credits at some time', e.id::text, '0', p.missing::text
  FROM paid_out p JOIN ledger_entries e
    ON (e.business_id, e.customer_id, e.number) = (p.business_id, p.customer_id, p.number)
 WHERE p.missing <> 0
UNION ALL
SELECT 'an allocation is of another customer than its order', a.id::text, o.customer_id::text, a.customer_id::text
  FROM allocations a JOIN orders o ON (o.business_id, o.id) = (a.business_id, a.order_id)
 WHERE o.customer_id <> a.customer_id
UNION ALL
SELECT 'an entry has other than one document of its amount', e.id::text, e.amount::text, (count(d.kind), sum(d.amount))::text
  FROM ledger_entries e LEFT JOIN documents d
    ON (d.business_id, d.customer_id, d.entry_number, d.kind) = (e.business_id, e.customer_id, e.number, e.kind)
 WHERE e.kind <> 'charge'
 GROUP BY e.business_id, e.customer_id, e.number, e.id, e.amount
HAVING count(d.kind) <> 1 OR sum(d.amount) <> e.amount
UNION ALL
SELECT 'a reversal is not the opposite of its entry', u.number::text, (-e.amount)::text, u.amount::text
  FROM undone u JOIN ledger_entries e
    ON (e.business_id, e.customer_id, e.number) = (u.business_id, u.customer_id, u.reverses)
 WHERE e.kind <> 'charge' AND u.amount <> -e.amount
UNION ALL
SELECT 'a cancelled order is not settled in full without money', id::text, total_amount::text, amount_credited::text
  FROM orders WHERE payment_method = 'credit' AND status = 'cancelled' AND amount_credited <> total_amount
UNION ALL
SELECT 'a restocked product has other movements than its returned units', m.product_id::text, sum(m.quantity)::text, o.id::text
  FROM stock_movements m JOIN orders o ON (o.business_id, o.id) = (m.business_id, m.order_id)
       JOIN order_items i ON (i.business_id, i.order_id, i.product_id) = (m.business_id, m.order_id, m.product_id)
 WHERE m.reason = 'returned'
 GROUP BY m.business_id, m.product_id, o.id, i.quantity HAVING sum(m.quantity) NOT BETWEEN 0 AND i.quantity
UNION ALL
SELECT 'balance is over a limit that was never lowered', id::text, credit_limit::text, balance::text
  FROM customers
 WHERE balance > credit_limit AND (business_id, id) NOT IN (SELECT business_id, entity_id FROM lowered)
UNION ALL
SELECT 'total is not the sum of the lines', o.id::text, coalesce(l.total, 0)::text, o.total_amount::text
  FROM orders o LEFT JOIN lines l ON (l.business_id, l.order_id) = (o.business_id, o.id)
 WHERE coalesce(l.total, -1) <> o.total_amount
UNION ALL
SELECT 'amount_due is not total less settled', id::text, (total_amount - amount_settled)::text, amount_due::text
  FROM orders WHERE amount_due <> total_amount - amount_settled OR amount_due < 0
UNION ALL
SELECT 'on_hand is not the sum of the movements and sales', i.product_id::text,
       coalesce(m.quantity, 0)::text, i.on_hand::text
  FROM inventory i LEFT JOIN moved m ON (m.business_id, m.product_id) = (i.business_id, i.product_id)
 WHERE coalesce(m.quantity, 0) <> i.on_hand
UNION ALL
SELECT 'stock is below zero or below the reserved units', product_id::text, reserved::text, on_hand::text
  FROM inventory WHERE on_hand < 0 OR reserved < 0 OR on_hand < reserved
UNION ALL
SELECT 'reserved is not the sum of the held items', i.product_id::text, held.quantity::text, i.reserved::text
  FROM inventory i
 CROSS JOIN LATERAL (SELECT coalesce(sum(quantity), 0) AS quantity FROM reservation_items r
                      WHERE (r.business_id, r.product_id) = (i.business_id, i.product_id) AND held) AS held
 WHERE i.reserved <> held.quantity
UNION ALL
SELECT 'reserved is not the sum of the movements', i.product_id::text, moved.reserved::text, i.reserved::text
  FROM inventory i
 CROSS JOIN LATERAL (SELECT coalesce(sum(reserved), 0) AS reserved FROM stock_movements m
                      WHERE (m.business_id, m.product_id) = (i.business_id, i.product_id)) AS moved
 WHERE i.reserved <> moved.reserved
UNION ALL
SELECT 'waiting is not the length of the waitlist', i.product_id::text, line.length::text, i.waiting::text
  FROM inventory i
 CROSS JOIN LATERAL (SELECT count(*) AS length FROM reservation_items r
                      WHERE (r.business_id, r.product_id) = (i.business_id, i.product_id) AND place IS NOT NULL) AS line
 WHERE i.waiting <> line.length
UNION ALL
SELECT 'a reservation waits for unreserved units', i.product_id::text, first.quantity::text, (i.on_hand - i.reserved)::text
  FROM inventory i
 CROSS JOIN LATERAL (SELECT quantity FROM reservation_items r
                      WHERE (r.business_id, r.product_id) = (i.business_id, i.product_id) AND place IS NOT NULL
                        AND expires_at > now()
                      ORDER BY place LIMIT 1) AS first
 WHERE first.quantity <= i.on_hand - i.reserved OR first.quantity > i.on_hand
UNION ALL
SELECT 'a resolved reservation holds or waits', r.id::text, r.status, i.product_id::text
  FROM reservations r JOIN reservation_items i ON (i.business_id, i.reservation_id) = (r.business_id, r.id)
       LEFT JOIN unpaid u ON (u.business_id, u.reservation_id) = (r.business_id, r.id)
 WHERE (i.held AND r.status <> 'active' AND NOT (r.status = 'confirmed' AND u.reservation_id IS NOT NULL))
    OR (i.place IS NOT NULL AND r.status <> 'waiting')
    OR (r.status = 'active' AND r.expires_at > now() AND NOT i.held)
    OR (r.status = 'waiting' AND r.expires_at > now() AND i.place IS NULL)
UNION ALL
SELECT 'an unpaid order by card holds other than its lines', o.id::text, i.quantity::text,
       (r.status, r.order_id, h.quantity, h.held, h.unit_price, h.expires_at = r.expires_at)::text
  FROM orders o JOIN order_items i ON (i.business_id, i.order_id) = (o.business_id, o.id)
       LEFT JOIN payment_intents p ON (p.business_id, p.order_id) = (o.business_id, o.id)
       LEFT JOIN reservations r ON (r.business_id, r.id) = (p.business_id, p.reservation_id)
       LEFT JOIN reservation_items h
    ON (h.business_id, h.reservation_id, h.product_id) = (r.business_id, r.id, i.product_id)
 WHERE o.payment_method = 'card' AND o.status IN ('created', 'payment_pending')
   AND ((r.status, r.order_id, h.quantity, h.unit_price, h.expires_at)
        IS DISTINCT FROM ('confirmed', o.id, i.quantity, i.unit_price, r.expires_at)
        OR (r.expires_at > now() AND NOT h.held))
UNION ALL
SELECT 'an order by card has sold other units than were paid', o.id::text,
       (CASE WHEN e.id IS NULL THEN 0 ELSE i.quantity END)::text, sold.quantity::text
  FROM orders o JOIN order_items i ON (i.business_id, i.order_id) = (o.business_id, o.id)
       LEFT JOIN (SELECT DISTINCT * FROM ever_paid) e ON (e.business_id, e.id) = (o.business_id, o.id)
 CROSS JOIN LATERAL (SELECT coalesce(-sum(quantity), 0) AS quantity FROM stock_movements m
                      WHERE (m.business_id, m.order_id, m.product_id) = (o.business_id, o.id, i.product_id)
                        AND m.reason = 'sold') AS sold
 WHERE sold.quantity <> CASE WHEN o.payment_method = 'card' AND e.id IS NOT NULL THEN i.quantity ELSE 0 END
UNION ALL
SELECT 'a line is a movement and must not be, or must be one and is not', i.order_id::text, o.payment_method,
       coalesce(i.on_hand_after::text, '')
  FROM order_items i JOIN orders o ON (o.business_id, o.id) = (i.business_id, i.order_id)
 WHERE (i.on_hand_after IS NULL) <> (o.payment_method = 'card')
UNION ALL
SELECT 'a credit order has other than one charge of its total', o.id::text, o.total_amount::text,
       (count(e.id), sum(e.amount))::text
  FROM orders o LEFT JOIN ledger_entries e
    ON (e.business_id, e.customer_id, e.order_id) = (o.business_id, o.customer_id, o.id) AND e.kind = 'charge'
 WHERE o.payment_method = 'credit'
 GROUP BY o.business_id, o.id, o.total_amount
HAVING count(e.id) <> 1 OR sum(e.amount) <> o.total_amount
UNION ALL
SELECT 'amount_lost is not the sum of the lost disputes', o.id::text, lost.amount::text, o.amount_lost::text
  FROM orders o
 CROSS JOIN LATERAL (SELECT coalesce(sum(amount), 0) AS amount FROM disputes d
                      WHERE (d.business_id, d.order_id) = (o.business_id, o.id) AND d.status = 'lost') AS lost
 WHERE o.amount_lost <> least(lost.amount, o.amount_settled - o.amount_credited)
UNION ALL
SELECT 'a charge has no credit order', e.id::text, e.amount::text, coalesce(o.id::text, '')
  FROM ledger_entries e LEFT JOIN orders o ON (o.business_id, o.id) = (e.business_id, e.order_id)
 WHERE e.kind = 'charge' AND o.payment_method IS DISTINCT FROM 'credit'
UNION ALL
SELECT 'an order has other than one event of its making', o.id::text, '1', count(e.id)::text
  FROM made o LEFT JOIN audit_events e
    ON (e.business_id, e.entity_id) = (o.business_id, o.id)
   AND e.action = CASE WHEN o.payment_method = 'card' THEN 'order.created'
                       WHEN (o.business_id, o.id) IN (SELECT business_id, order_id FROM opening_items) THEN 'order.imported'
                       ELSE 'order.approved' END
 GROUP BY o.business_id, o.id HAVING count(e.id) <> 1
UNION ALL
SELECT 'an opening item is not its order or payment', i.reference, (i.customer_id, i.amount)::text,
       (coalesce(o.customer_id, p.customer_id), coalesce(o.total_amount, -p.amount), o.status)::text
  FROM opening_items i
       LEFT JOIN orders o ON (o.business_id, o.id) = (i.business_id, i.order_id) AND o.payment_method = 'credit'
       LEFT JOIN payments p ON (p.business_id, p.id) = (i.business_id, i.payment_id)
 WHERE (coalesce(o.customer_id, p.customer_id), coalesce(o.total_amount, -p.amount))
       IS DISTINCT FROM (i.customer_id, i.amount)
    OR (o.id IS NULL) = (p.id IS NULL)
    OR o.status <> 'fulfilled'
    OR EXISTS (SELECT FROM order_items l WHERE (l.business_id, l.order_id) = (i.business_id, i.order_id))
UNION ALL
SELECT 'an event is about an order that does not exist', e.id::text, e.entity_id::text, ''
  FROM audit_events e LEFT JOIN orders o ON (o.business_id, o.id) = (e.business_id, e.entity_id)
 WHERE e.entity_type = 'order' AND o.id IS NULL";

/// Runs the queries above as the superuser; an empty list means that all figures agree.
pub async fn differences(database: &Database) -> Vec<String> {
    database.column(DIFFERENCES).await
}

/// Returns the differences that `tradeline verify` reports, read as the service's role.
pub async fn verified(database: &Database) -> Vec<Difference> {
    let database = domain::Database::new(&database.url(SERVICE), 1).unwrap();
    let mut found = Vec::new();
    for business in tenants::all_businesses(&database).await.unwrap() {
        let counts = verify::business(&database, business, |difference| found.push(difference));
        let _ = counts.await.unwrap();
    }
    database.close().await;
    found
}

/// Asserts that these queries and those of `tradeline verify` find no difference in any business.
///
/// # Panics
/// A difference is found.
pub async fn books_balance(service: &Service) {
    let found = differences(&service.database).await;
    assert!(found.is_empty(), "{found:#?}");
    let found = verified(&service.database).await;
    assert!(found.is_empty(), "{found:#?}");
}
