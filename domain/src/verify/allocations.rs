//! Allocations: checks of orders, payouts and credits, now and at every past date.

use super::Check;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "order_is_settled_by_its_allocations",
        sql: "
SELECT 'order ' || o.id AS subject,
       format('settled %s, of which credited %s', coalesce(allocated.settled, 0), coalesce(allocated.credited, 0))
           AS expected,
       format('settled %s, of which credited %s, and %s due of %s', o.amount_settled, o.amount_credited, o.amount_due,
              o.total_amount) AS found
  FROM orders o
  LEFT JOIN (SELECT a.order_id, sum(a.amount) AS settled, sum(a.amount) FILTER (WHERE e.kind <> 'payment') AS credited
               FROM allocations a
               JOIN ledger_entries e ON e.business_id = $1 AND (e.customer_id, e.number) = (a.customer_id, a.entry_number)
              WHERE a.business_id = $1 GROUP BY a.order_id) AS allocated ON allocated.order_id = o.id
 WHERE o.business_id = $1 AND o.payment_method = 'credit'
   AND ((o.amount_settled, o.amount_credited) <> (coalesce(allocated.settled, 0), coalesce(allocated.credited, 0))
        OR o.amount_due <> o.total_amount - o.amount_settled)",
    },
    Check {
        name: "order_is_never_settled_beyond_its_total",
        sql: "
SELECT 'order ' || order_id AS subject, format('from 0 to %s at %s', total_amount, effective_at) AS expected,
       running::text AS found
  FROM (SELECT a.order_id, o.total_amount, a.effective_at,
               sum(a.amount) OVER (PARTITION BY a.order_id ORDER BY a.effective_at) AS running
          FROM allocations a JOIN orders o ON o.business_id = $1 AND o.id = a.order_id
         WHERE a.business_id = $1) AS settled
 WHERE running NOT BETWEEN 0 AND total_amount
 GROUP BY order_id, total_amount, effective_at, running",
    },
    // A credit exists from the date of its entry to the date of its reversal. The reversal of a payout is not a credit:
    // it returns the credits that the payout had used.
    Check {
        name: "credit_is_never_used_beyond_its_amount",
        sql: "
SELECT format('customer %s entry %s', customer_id, e.id) AS subject,
       format('at least 0 left at %s', change.effective_at) AS expected, change.running::text AS found
  FROM (SELECT customer_id, number, effective_at,
               sum(amount) OVER (PARTITION BY customer_id, number ORDER BY effective_at) AS running
          FROM (SELECT c.customer_id, c.number, c.effective_at, -c.amount AS amount
                  FROM ledger_entries c WHERE c.business_id = $1 AND c.kind <> 'charge' AND c.amount < 0
                   AND NOT EXISTS (SELECT FROM reversals r JOIN ledger_entries undone
                                     ON undone.business_id = $1
                                    AND (undone.customer_id, undone.number) = (r.customer_id, r.reverses)
                                    WHERE r.business_id = $1 AND undone.kind = 'payout'
                                      AND (r.customer_id, r.entry_number) = (c.customer_id, c.number))
                UNION ALL
                SELECT r.customer_id, r.reverses, e.effective_at, -e.amount
                  FROM reversals r
                  JOIN ledger_entries e
                    ON e.business_id = $1 AND (e.customer_id, e.number) = (r.customer_id, r.entry_number)
                 WHERE r.business_id = $1 AND e.amount > 0
                UNION ALL
                SELECT customer_id, entry_number, effective_at, -amount FROM allocations WHERE business_id = $1
                UNION ALL
                SELECT customer_id, credit_entry, effective_at, -amount FROM payout_allocations
                 WHERE business_id = $1) AS each
       ) AS change
  JOIN ledger_entries e USING (customer_id, number)
 WHERE e.business_id = $1 AND running < 0
 GROUP BY customer_id, e.id, change.effective_at, change.running",
    },
    Check {
        name: "rest_of_a_credit_is_on_account",
        sql: "
SELECT format('customer %s entry %s', e.customer_id, e.id) AS subject, e.rest::text AS expected,
       coalesce(c.amount, 0)::text AS found
  FROM (SELECT e.customer_id, e.number, e.id,
               CASE WHEN e.kind = 'charge' OR e.amount >= 0 OR r.reverses IS NOT NULL
                      OR payout_reversal.entry_number IS NOT NULL THEN 0
                    ELSE -e.amount END
                   - coalesce(allocated.amount, 0) - coalesce(paid_out.amount, 0) AS rest
          FROM ledger_entries e
          LEFT JOIN reversals r ON r.business_id = $1 AND (r.customer_id, r.reverses) = (e.customer_id, e.number)
          LEFT JOIN (SELECT customer_id, entry_number, sum(amount) AS amount FROM allocations
                      WHERE business_id = $1 GROUP BY customer_id, entry_number) AS allocated
            ON (allocated.customer_id, allocated.entry_number) = (e.customer_id, e.number)
          LEFT JOIN (SELECT customer_id, credit_entry, sum(amount) AS amount FROM payout_allocations
                      WHERE business_id = $1 GROUP BY customer_id, credit_entry) AS paid_out
            ON (paid_out.customer_id, paid_out.credit_entry) = (e.customer_id, e.number)
          LEFT JOIN (SELECT reversal.customer_id, reversal.entry_number
                       FROM reversals reversal
                       JOIN ledger_entries undone
                         ON undone.business_id = $1
                        AND (undone.customer_id, undone.number) = (reversal.customer_id, reversal.reverses)
                      WHERE reversal.business_id = $1 AND undone.kind = 'payout') AS payout_reversal
            ON (payout_reversal.customer_id, payout_reversal.entry_number) = (e.customer_id, e.number)
         WHERE e.business_id = $1) AS e
  LEFT JOIN credits_on_account c ON c.business_id = $1 AND (c.customer_id, c.entry_number) = (e.customer_id, e.number)
 WHERE e.rest <> coalesce(c.amount, 0)",
    },
    // The credits of a payout equal its amount at every moment from its date to that of its reversal.
    Check {
        name: "payout_is_covered_by_credits_at_every_date",
        sql: "
SELECT format('customer %s payout %s', e.customer_id, e.id) AS subject,
       format('0 missing at %s', change.effective_at) AS expected, change.missing::text AS found
  FROM (SELECT customer_id, number, effective_at,
               sum(amount) OVER (PARTITION BY customer_id, number ORDER BY effective_at) AS missing
          FROM (SELECT customer_id, number, effective_at, amount
                  FROM ledger_entries WHERE business_id = $1 AND kind = 'payout'
                UNION ALL
                SELECT r.customer_id, r.reverses, e.effective_at, e.amount
                  FROM reversals r
                  JOIN ledger_entries e
                    ON e.business_id = $1 AND (e.customer_id, e.number) = (r.customer_id, r.entry_number)
                  JOIN ledger_entries undone
                    ON undone.business_id = $1 AND (undone.customer_id, undone.number) = (r.customer_id, r.reverses)
                 WHERE r.business_id = $1 AND undone.kind = 'payout'
                UNION ALL
                SELECT customer_id, payout_entry, effective_at, -amount FROM payout_allocations
                 WHERE business_id = $1) AS each
       ) AS change
  JOIN ledger_entries e USING (customer_id, number)
 WHERE e.business_id = $1 AND change.missing <> 0
 GROUP BY e.customer_id, e.id, change.effective_at, change.missing",
    },
    Check {
        name: "credit_settles_its_own_customers_credit_orders_when_both_are_there",
        sql: "
SELECT format('order %s allocation %s', o.id, a.id) AS subject,
       format('customer %s on credit, not before %s', o.customer_id, greatest(o.created_at, e.effective_at)) AS expected,
       format('customer %s on %s at %s', a.customer_id, o.payment_method, a.effective_at) AS found
  FROM allocations a
  JOIN orders o ON o.business_id = $1 AND o.id = a.order_id
  JOIN ledger_entries e ON e.business_id = $1 AND (e.customer_id, e.number) = (a.customer_id, a.entry_number)
 WHERE a.business_id = $1
   AND (a.customer_id <> o.customer_id OR o.payment_method <> 'credit'
        OR a.effective_at < greatest(o.created_at, e.effective_at))",
    },
];
