//! Orders: checks against their items and charges.

use super::Check;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "order_total_is_the_sum_of_its_lines",
        sql: "
SELECT 'order ' || o.id AS subject, coalesce(l.total::text, 'lines') AS expected, o.total_amount::text AS found
  FROM orders o
  LEFT JOIN (SELECT order_id, sum(amount) AS total
               FROM (SELECT order_id, line_total AS amount FROM order_items WHERE business_id = $1
                     UNION ALL
                     SELECT order_id, amount FROM opening_items WHERE business_id = $1) AS part
              GROUP BY order_id) AS l
    ON l.order_id = o.id
 WHERE o.business_id = $1 AND o.total_amount IS DISTINCT FROM l.total",
    },
    // The amounts of orders agree by the check before.
    Check {
        name: "opening_item_is_its_document",
        sql: "
SELECT format('customer %s opening item %s', i.customer_id, i.reference) AS subject,
       format('%s of customer %s, fulfilled, without lines', i.amount, i.customer_id) AS expected,
       format('%s of customer %s, %s, %s lines', coalesce(o.total_amount, -p.amount),
              coalesce(o.customer_id, p.customer_id), coalesce(o.payment_method || ' ' || o.status, 'payment'),
              (SELECT count(*) FROM order_items l WHERE l.business_id = $1 AND l.order_id = i.order_id)) AS found
  FROM opening_items i
  LEFT JOIN orders o ON o.business_id = $1 AND o.id = i.order_id
  LEFT JOIN payments p ON p.business_id = $1 AND p.id = i.payment_id
 WHERE i.business_id = $1
   AND ((coalesce(o.total_amount, -p.amount), coalesce(o.customer_id, p.customer_id))
        IS DISTINCT FROM (i.amount, i.customer_id)
        OR (o.id IS NOT NULL AND (o.payment_method, o.status) <> ('credit', 'fulfilled'))
        OR EXISTS (SELECT FROM order_items l WHERE l.business_id = $1 AND l.order_id = i.order_id))",
    },
    Check {
        name: "credit_order_has_one_charge",
        sql: "
SELECT 'order ' || o.id AS subject,
       format('1 charge of %s for customer %s at %s', o.total_amount, o.customer_id, o.created_at) AS expected,
       format('%s of %s for customer %s at %s', coalesce(e.charges, 0), e.amount, e.customer_id, e.at) AS found
  FROM orders o
  LEFT JOIN (SELECT order_id, count(*) AS charges, sum(amount) AS amount, min(customer_id::text) AS customer_id,
                    min(effective_at) AS at
               FROM ledger_entries WHERE business_id = $1 AND kind = 'charge' GROUP BY order_id) AS e ON e.order_id = o.id
 WHERE o.business_id = $1 AND o.payment_method = 'credit'
   AND (e.charges, e.amount, e.customer_id, e.at) IS DISTINCT FROM (1, o.total_amount, o.customer_id::text, o.created_at)",
    },
    Check {
        name: "charge_has_a_credit_order",
        sql: "
SELECT format('customer %s entry %s', e.customer_id, e.id) AS subject, 'an order on credit' AS expected,
       coalesce('order ' || o.id || ' by ' || o.payment_method, 'none') AS found
  FROM ledger_entries e LEFT JOIN orders o ON o.business_id = $1 AND o.id = e.order_id
 WHERE e.business_id = $1 AND e.kind = 'charge' AND o.payment_method IS DISTINCT FROM 'credit'",
    },
    Check {
        name: "cancelled_order_has_its_charge_reversed",
        sql: "
SELECT 'order ' || o.id AS subject,
       CASE o.status WHEN 'cancelled' THEN 'a reversed charge and nothing due' ELSE 'no reversed charge' END AS expected,
       format('%s, %s due', CASE WHEN r.order_id IS NULL THEN 'no reversed charge' ELSE 'a reversed charge' END,
              o.amount_due) AS found
  FROM orders o
  LEFT JOIN (SELECT e.order_id FROM reversals r
               JOIN ledger_entries e ON e.business_id = $1 AND (e.customer_id, e.number) = (r.customer_id, r.reverses)
              WHERE r.business_id = $1 AND e.kind = 'charge') AS r ON r.order_id = o.id
 WHERE o.business_id = $1 AND o.payment_method = 'credit'
   AND CASE o.status WHEN 'cancelled' THEN r.order_id IS NULL OR o.amount_due <> 0 ELSE r.order_id IS NOT NULL END",
    },
];
