//! Card orders: checks of payments, refunds and the history of statuses.

use super::Check;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "card_order_has_one_intent",
        sql: "
SELECT 'order ' || o.id AS subject,
       CASE o.payment_method WHEN 'card' THEN 'an intent of ' || o.total_amount ELSE 'no intent' END AS expected,
       coalesce('an intent of ' || i.amount, 'no intent') AS found
  FROM orders o LEFT JOIN payment_intents i ON i.business_id = $1 AND i.order_id = o.id
 WHERE o.business_id = $1
   AND (o.payment_method = 'card', CASE o.payment_method WHEN 'card' THEN o.total_amount END)
       IS DISTINCT FROM (i.order_id IS NOT NULL, i.amount)",
    },
    // An amount that is neither paid nor due belongs to an order cancelled before payment. Its columns say that it was
    // credited, so that nothing is due; the API says that nothing was.
    Check {
        name: "card_order_is_paid_what_its_intent_received",
        sql: "
SELECT 'order ' || o.id AS subject,
       format('%s, paid %s, cancelled unpaid %s', o.status, due.paid, due.credited) AS expected,
       format('paid %s, cancelled unpaid %s, its intent %s', o.amount_settled - o.amount_credited, o.amount_credited,
              i.status) AS found
  FROM orders o JOIN payment_intents i ON i.business_id = $1 AND i.order_id = o.id
 CROSS JOIN LATERAL (
       SELECT CASE WHEN i.status = 'succeeded' THEN o.total_amount ELSE 0 END AS paid,
              CASE WHEN i.status <> 'succeeded' AND o.status = 'cancelled' THEN o.total_amount ELSE 0 END AS credited
       ) AS due
 WHERE o.business_id = $1
   AND ((o.amount_settled, o.amount_credited) <> (due.paid + due.credited, due.credited)
        OR (o.status IN ('paid', 'fulfilled') AND i.status <> 'succeeded')
        OR (o.status IN ('created', 'payment_pending') AND i.status NOT IN ('requested', 'pending', 'mismatched'))
        OR (o.status = 'cancelled' AND i.status IN ('requested', 'pending')))",
    },
    Check {
        name: "refunded_is_what_the_refunds_come_to",
        sql: "
SELECT 'order ' || o.id AS subject, format('%s refunded', coalesce(r.amount, 0)) AS expected,
       format('%s refunded of %s paid', o.amount_refunded, o.amount_settled - o.amount_credited) AS found
  FROM orders o
  LEFT JOIN (SELECT order_id, sum(amount) AS amount FROM refunds
              WHERE business_id = $1 AND status <> 'failed' GROUP BY order_id) AS r ON r.order_id = o.id
 WHERE o.business_id = $1
   AND (o.amount_refunded <> coalesce(r.amount, 0) OR o.amount_refunded > o.amount_settled - o.amount_credited)",
    },
    // Units refunded and kept may come back later: then they were refunded twice and returned once.
    Check {
        name: "lost_is_what_the_lost_disputes_come_to",
        sql: "
SELECT 'order ' || o.id AS subject, format('%s lost', due.lost) AS expected, format('%s lost', o.amount_lost) AS found
  FROM orders o
  LEFT JOIN (SELECT order_id, sum(amount) AS amount FROM disputes
              WHERE business_id = $1 AND status = 'lost' GROUP BY order_id) AS d ON d.order_id = o.id
 CROSS JOIN LATERAL (SELECT least(coalesce(d.amount, 0), o.amount_settled - o.amount_credited) AS lost) AS due
 WHERE o.business_id = $1 AND o.amount_lost <> CASE o.payment_method WHEN 'card' THEN due.lost ELSE 0 END",
    },
    // The rule of `card/attention.rs`.
    Check {
        name: "attention_is_asked_for_where_something_is_wrong",
        sql: "
SELECT 'order ' || o.id AS subject, format('attention %s', due.reasons) AS expected,
       format('attention %s', coalesce(o.attention, '{}')) AS found
  FROM orders o
  LEFT JOIN payment_intents i ON i.business_id = $1 AND i.order_id = o.id
 CROSS JOIN LATERAL (
       SELECT array_remove(ARRAY[
                  CASE WHEN i.status = 'mismatched' AND (i.received_minor IS NULL OR i.returned_minor < i.received_minor)
                       THEN 'payment_mismatched' END,
                  CASE WHEN o.amount_refunded + o.amount_lost < o.amount_settled - o.amount_credited
                            AND EXISTS (SELECT FROM refunds f
                                         WHERE f.business_id = $1 AND f.order_id = i.order_id AND f.status = 'failed'
                                           AND NOT f.by_hand
                                           AND NOT EXISTS (SELECT FROM refunds l
                                                            WHERE l.business_id = $1 AND l.order_id = i.order_id
                                                              AND l.status <> 'failed' AND l.amount > 0
                                                              AND l.created_at > f.updated_at))
                       THEN 'refund_failed' END,
                  CASE WHEN EXISTS (SELECT FROM disputes WHERE business_id = $1 AND order_id = i.order_id
                                       AND status IN ('needs_response', 'under_review'))
                       THEN 'dispute_open' END,
                  CASE WHEN EXISTS (SELECT FROM disputes WHERE business_id = $1 AND order_id = i.order_id
                                       AND status = 'lost')
                       THEN 'dispute_lost' END], NULL) AS reasons
       ) AS due
 WHERE o.business_id = $1 AND coalesce(o.attention, '{}') <> due.reasons",
    },
    Check {
        name: "no_more_is_refunded_by_items_than_was_sold",
        sql: "
SELECT format('order %s product %s, %s', r.order_id, i.product_id, CASE WHEN r.restock THEN 'returned' ELSE 'kept' END)
           AS subject,
       format('at most %s', coalesce(l.quantity, 0)) AS expected, sum(i.quantity)::text AS found
  FROM refunds r
  JOIN refund_items i ON i.business_id = $1 AND i.refund_id = r.id
  LEFT JOIN order_items l ON l.business_id = $1 AND (l.order_id, l.product_id) = (r.order_id, i.product_id)
 WHERE r.business_id = $1 AND r.status <> 'failed'
 GROUP BY r.order_id, i.product_id, r.restock, l.quantity
HAVING sum(i.quantity) > coalesce(l.quantity, 0)",
    },
    Check {
        name: "order_is_what_its_transitions_led_to",
        sql: "
SELECT 'order ' || o.id AS subject, format('%s, from transition to transition', o.status) AS expected,
       coalesce(array_to_string(t.steps, ', '), 'no transition') AS found
  FROM orders o
  LEFT JOIN opening_items i ON i.business_id = $1 AND i.order_id = o.id
 CROSS JOIN LATERAL (
       SELECT CASE WHEN i.order_id IS NOT NULL THEN 'fulfilled' WHEN o.payment_method = 'card' THEN 'created'
                   ELSE 'approved' END AS status
       ) AS first
 CROSS JOIN LATERAL (
       SELECT array_agg(format('%s: %s to %s', number, from_status, to_status) ORDER BY number) AS steps,
              bool_and(number = place AND from_status = before) AS is_whole,
              (array_agg(to_status ORDER BY number DESC))[1] AS last
         FROM (SELECT number, from_status, to_status, row_number() OVER w AS place,
                      lag(to_status, 1, first.status) OVER w AS before
                 FROM order_transitions
                WHERE business_id = $1 AND order_id = o.id
               WINDOW w AS (ORDER BY number)) AS step
       ) AS t
 WHERE o.business_id = $1
   AND (NOT coalesce(t.is_whole, true)
        OR o.status <> coalesce(t.last, first.status))",
    },
];
