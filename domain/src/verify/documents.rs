//! Documents and ledger entries: checks that each has the other, and that both agree.

use super::Check;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "entry_has_its_document",
        sql: "
SELECT format('customer %s entry %s', e.customer_id, e.id) AS subject, e.kind || ' document' AS expected,
       concat_ws(', ', CASE WHEN p.id IS NOT NULL THEN 'payment ' || p.id END,
                 CASE WHEN n.id IS NOT NULL THEN 'credit_note ' || n.id END,
                 CASE WHEN w.id IS NOT NULL THEN 'write_off ' || w.id END,
                 CASE WHEN x.id IS NOT NULL THEN 'payout ' || x.id END,
                 CASE WHEN r.reverses IS NOT NULL THEN 'reversal of ' || r.reverses END, '') AS found
  FROM ledger_entries e
  LEFT JOIN payments p ON p.business_id = $1 AND (p.customer_id, p.entry_number) = (e.customer_id, e.number)
  LEFT JOIN credit_notes n ON n.business_id = $1 AND (n.customer_id, n.entry_number) = (e.customer_id, e.number)
  LEFT JOIN write_offs w ON w.business_id = $1 AND (w.customer_id, w.entry_number) = (e.customer_id, e.number)
  LEFT JOIN payouts x ON x.business_id = $1 AND (x.customer_id, x.entry_number) = (e.customer_id, e.number)
  LEFT JOIN reversals r ON r.business_id = $1 AND (r.customer_id, r.entry_number) = (e.customer_id, e.number)
 WHERE e.business_id = $1
   AND (p.id IS NOT NULL, n.id IS NOT NULL, w.id IS NOT NULL, x.id IS NOT NULL, r.reverses IS NOT NULL)
       <> (e.kind = 'payment', e.kind = 'credit_note', e.kind = 'write_off', e.kind = 'payout', e.kind = 'reversal')",
    },
    Check {
        name: "document_agrees_with_its_entry",
        sql: "
SELECT format('%s %s of customer %s', d.kind, d.id, d.customer_id) AS subject,
       format('%s at %s', -d.amount, d.at) AS expected, format('%s at %s', e.amount, e.effective_at) AS found
  FROM (SELECT 'payment' AS kind, id, customer_id, entry_number, amount, received_at AS at
          FROM payments WHERE business_id = $1
        UNION ALL
        SELECT 'payout', id, customer_id, entry_number, -amount, paid_at FROM payouts WHERE business_id = $1
        UNION ALL
        SELECT 'credit_note', id, customer_id, entry_number, amount, NULL FROM credit_notes WHERE business_id = $1
        UNION ALL
        SELECT 'write_off', id, customer_id, entry_number, amount, NULL FROM write_offs WHERE business_id = $1) AS d
  JOIN ledger_entries e ON e.business_id = $1 AND (e.customer_id, e.number) = (d.customer_id, d.entry_number)
 WHERE e.amount <> -d.amount OR e.effective_at <> coalesce(d.at, e.effective_at)",
    },
    Check {
        name: "document_is_about_its_own_customers_order",
        sql: "
SELECT format('%s %s', d.kind, d.id) AS subject, 'customer ' || o.customer_id AS expected,
       'customer ' || d.customer_id AS found
  FROM (SELECT 'credit_note' AS kind, id, customer_id, order_id FROM credit_notes WHERE business_id = $1
        UNION ALL
        SELECT 'write_off', id, customer_id, order_id FROM write_offs WHERE business_id = $1) AS d
  JOIN orders o ON o.business_id = $1 AND o.id = d.order_id
 WHERE o.customer_id <> d.customer_id",
    },
    // A reversal takes back all of its entry. Exception: the charge of a cancelled order is reversed less its credit
    // notes and write-offs that were in effect then. None of these is reversed later, since the order stays cancelled.
    Check {
        name: "reversal_is_the_opposite_of_what_it_undoes",
        sql: "
WITH undone AS (
    SELECT customer_id, reverses FROM reversals WHERE business_id = $1
), less AS (
    SELECT order_id, sum(amount) AS amount
      FROM (SELECT customer_id, entry_number, order_id, amount FROM credit_notes WHERE business_id = $1
            UNION ALL
            SELECT customer_id, entry_number, order_id, amount FROM write_offs WHERE business_id = $1) AS d
     WHERE NOT EXISTS (SELECT FROM undone
                        WHERE (undone.customer_id, undone.reverses) = (d.customer_id, d.entry_number))
     GROUP BY order_id
)
SELECT format('customer %s entry %s', e.customer_id, e.id) AS subject,
       format('%s, which undoes no reversal', -u.amount + coalesce(less.amount, 0)) AS expected,
       format('%s, which undoes a %s', e.amount, u.kind) AS found
  FROM reversals r
  JOIN ledger_entries e ON e.business_id = $1 AND (e.customer_id, e.number) = (r.customer_id, r.entry_number)
  JOIN ledger_entries u ON u.business_id = $1 AND (u.customer_id, u.number) = (r.customer_id, r.reverses)
  LEFT JOIN less ON u.kind = 'charge' AND less.order_id = u.order_id
 WHERE r.business_id = $1 AND (u.kind = 'reversal' OR e.amount <> -u.amount + coalesce(less.amount, 0))",
    },
    Check {
        name: "order_is_not_credited_beyond_its_total",
        sql: "
SELECT 'order ' || o.id AS subject, 'at most ' || o.total_amount AS expected, sum(d.amount)::text AS found
  FROM (SELECT customer_id, entry_number, order_id, amount FROM credit_notes WHERE business_id = $1
        UNION ALL
        SELECT customer_id, entry_number, order_id, amount FROM write_offs WHERE business_id = $1) AS d
  JOIN orders o ON o.business_id = $1 AND o.id = d.order_id
 WHERE NOT EXISTS (SELECT FROM reversals r
                    WHERE r.business_id = $1 AND (r.customer_id, r.reverses) = (d.customer_id, d.entry_number))
 GROUP BY o.id, o.total_amount HAVING sum(d.amount) > o.total_amount",
    },
    // Returned goods may be worth less than their price, when less is left of their order.
    Check {
        name: "credit_note_is_the_price_of_its_items",
        sql: "
SELECT 'credit_note ' || n.id AS subject,
       coalesce(CASE WHEN n.restock THEN 'at most ' ELSE '' END || sum(i.quantity * l.unit_price), 'sold items') AS expected,
       n.amount::text AS found
  FROM credit_note_items i
  JOIN credit_notes n ON n.business_id = $1 AND n.id = i.credit_note_id
  LEFT JOIN order_items l ON l.business_id = $1 AND (l.order_id, l.product_id) = (n.order_id, i.product_id)
 WHERE i.business_id = $1
 GROUP BY n.id, n.amount, n.restock
HAVING count(*) <> count(l.quantity) OR n.amount > sum(i.quantity * l.unit_price)
    OR (n.amount < sum(i.quantity * l.unit_price) AND NOT n.restock)",
    },
    // Units credited and kept may come back later: then they were credited twice and returned once.
    Check {
        name: "no_more_is_credited_than_was_sold",
        sql: "
SELECT format('order %s product %s, %s', n.order_id, i.product_id, CASE WHEN n.restock THEN 'returned' ELSE 'kept' END)
           AS subject,
       'at most ' || coalesce(max(l.quantity), 0) AS expected, sum(i.quantity)::text AS found
  FROM credit_note_items i
  JOIN credit_notes n ON n.business_id = $1 AND n.id = i.credit_note_id
  LEFT JOIN order_items l ON l.business_id = $1 AND (l.order_id, l.product_id) = (n.order_id, i.product_id)
 WHERE i.business_id = $1
   AND NOT EXISTS (SELECT FROM reversals r
                    WHERE r.business_id = $1 AND (r.customer_id, r.reverses) = (n.customer_id, n.entry_number))
 GROUP BY n.order_id, i.product_id, n.restock HAVING sum(i.quantity) > coalesce(max(l.quantity), 0)",
    },
];
