//! Stock: checks against movements, sales, holds and waitlists.

use super::Check;

pub(super) const CHECKS: &[Check] = &[
    Check {
    name: "stock_is_what_moved_less_what_was_sold",
    sql: "
SELECT 'product ' || i.product_id AS subject,
       format('%s on hand', coalesce(m.quantity, 0) - coalesce(s.quantity, 0)) AS expected,
       format('%s on hand, %s reserved', i.on_hand, i.reserved) AS found
  FROM inventory i
  LEFT JOIN (SELECT product_id, sum(quantity) AS quantity FROM stock_movements
              WHERE business_id = $1 GROUP BY product_id) AS m ON m.product_id = i.product_id
  LEFT JOIN (SELECT product_id, sum(quantity) AS quantity FROM order_items
              WHERE business_id = $1 AND on_hand_after IS NOT NULL GROUP BY product_id) AS s ON s.product_id = i.product_id
 WHERE i.business_id = $1
   AND (i.on_hand <> coalesce(m.quantity, 0) - coalesce(s.quantity, 0) OR i.reserved NOT BETWEEN 0 AND i.on_hand)",
    },
    Check {
        name: "reserved_is_what_is_held",
        sql: "
SELECT 'product ' || i.product_id AS subject, format('%s reserved', coalesce(h.reserved, 0)) AS expected,
       format('%s reserved', i.reserved) AS found
  FROM inventory i
  LEFT JOIN held_stock h ON h.business_id = $1 AND h.product_id = i.product_id
 WHERE i.business_id = $1 AND i.reserved <> coalesce(h.reserved, 0)",
    },
    Check {
        name: "reserved_is_what_was_held_less_what_was_released",
        sql: "
SELECT 'product ' || i.product_id AS subject, format('%s reserved', coalesce(m.reserved, 0)) AS expected,
       format('%s reserved', i.reserved) AS found
  FROM inventory i
  LEFT JOIN (SELECT product_id, sum(reserved) AS reserved FROM stock_movements
              WHERE business_id = $1 GROUP BY product_id) AS m ON m.product_id = i.product_id
 WHERE i.business_id = $1 AND i.reserved <> coalesce(m.reserved, 0)",
    },
    Check {
        name: "waiting_is_the_length_of_the_line",
        sql: "
SELECT 'product ' || i.product_id AS subject, format('%s waiting', coalesce(h.places, 0)) AS expected,
       format('%s waiting', i.waiting) AS found
  FROM inventory i
  LEFT JOIN held_stock h ON h.business_id = $1 AND h.product_id = i.product_id
 WHERE i.business_id = $1 AND i.waiting <> coalesce(h.places, 0)",
    },
    // The units of a paid card order left the stock. Its cancellation restocked them, except those that were refunded
    // by items and kept.
    Check {
        name: "card_order_has_sold_what_was_paid_for",
        sql: "
SELECT format('order %s product %s', coalesce(l.order_id, m.order_id), coalesce(l.product_id, m.product_id)) AS subject,
       format('%s sold, %s to %s returned', coalesce(l.sold, 0), coalesce(l.returned, 0), coalesce(l.sold, 0)) AS expected,
       format('%s sold, %s returned', coalesce(m.sold, 0), coalesce(m.returned, 0)) AS found
  FROM (SELECT i.order_id, i.product_id, CASE WHEN paid.ever THEN i.quantity ELSE 0 END AS sold,
               CASE WHEN paid.ever AND o.status = 'cancelled' THEN i.quantity - away.quantity ELSE 0 END AS returned
          FROM orders o
          JOIN order_items i ON i.business_id = $1 AND i.order_id = o.id
         CROSS JOIN LATERAL (
                SELECT CASE o.status
                       WHEN 'paid' THEN true
                       WHEN 'fulfilled' THEN true
                       WHEN 'cancelled' THEN EXISTS (SELECT FROM order_transitions t
                                                      WHERE t.business_id = $1 AND t.order_id = o.id
                                                        AND t.to_status = 'paid')
                       ELSE false END) AS paid (ever)
         CROSS JOIN LATERAL (
                SELECT coalesce(sum(r.quantity), 0)
                  FROM refunds f
                  JOIN refund_items r ON r.business_id = $1 AND r.refund_id = f.id AND r.product_id = i.product_id
                 WHERE f.business_id = $1 AND f.order_id = o.id AND NOT f.restock) AS away (quantity)
         WHERE o.business_id = $1 AND o.payment_method = 'card') AS l
  FULL JOIN (SELECT m.order_id, m.product_id, -sum(m.quantity) FILTER (WHERE m.reason = 'sold') AS sold,
                    sum(m.quantity) FILTER (WHERE m.reason = 'returned') AS returned
               FROM stock_movements m
               LEFT JOIN orders o ON o.business_id = $1 AND o.id = m.order_id
              WHERE m.business_id = $1 AND (m.reason = 'sold' OR m.reason = 'returned' AND o.payment_method = 'card')
              GROUP BY m.order_id, m.product_id) AS m ON (m.order_id, m.product_id) = (l.order_id, l.product_id)
 WHERE coalesce(l.sold, 0) <> coalesce(m.sold, 0)
    OR coalesce(m.returned, 0) NOT BETWEEN coalesce(l.returned, 0) AND coalesce(l.sold, 0)",
    },
    Check {
        name: "held_is_for_an_active_reservation_or_an_unpaid_card_order",
        sql: "
SELECT format('reservation %s product %s', r.id, i.product_id) AS subject, '0 held' AS expected,
       format('%s held, it is %s, its order %s by %s is %s', i.quantity, r.status, o.id, o.payment_method, o.status)
           AS found
  FROM reservation_items i
  JOIN reservations r ON r.business_id = $1 AND r.id = i.reservation_id
  LEFT JOIN orders o ON o.business_id = $1 AND o.id = r.order_id
  LEFT JOIN payment_intents p ON p.business_id = $1 AND p.order_id = r.order_id
 WHERE i.business_id = $1 AND i.held AND r.status <> 'active'
   AND NOT (r.status = 'confirmed' AND coalesce(p.reservation_id = r.id AND o.payment_method = 'card'
                                                AND o.status IN ('created', 'payment_pending'), false))",
    },
];
