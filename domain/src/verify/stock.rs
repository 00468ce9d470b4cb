//! Stock: what the movements and the sales come to, what is held of it, and who waits for it.

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
              WHERE business_id = $1 GROUP BY product_id) AS s ON s.product_id = i.product_id
 WHERE i.business_id = $1
   AND (i.on_hand <> coalesce(m.quantity, 0) - coalesce(s.quantity, 0) OR i.reserved NOT BETWEEN 0 AND i.on_hand)",
    },
    Check {
        name: "reserved_is_what_is_held",
        sql: "
SELECT 'product ' || i.product_id AS subject, format('%s reserved', coalesce(h.quantity, 0)) AS expected,
       format('%s reserved', i.reserved) AS found
  FROM inventory i
  LEFT JOIN (SELECT product_id, sum(quantity) AS quantity FROM reservation_items
              WHERE business_id = $1 AND held GROUP BY product_id) AS h ON h.product_id = i.product_id
 WHERE i.business_id = $1 AND i.reserved <> coalesce(h.quantity, 0)",
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
SELECT 'product ' || i.product_id AS subject, format('%s waiting', coalesce(l.places, 0)) AS expected,
       format('%s waiting', i.waiting) AS found
  FROM inventory i
  LEFT JOIN (SELECT product_id, count(*) AS places FROM reservation_items
              WHERE business_id = $1 AND place IS NOT NULL GROUP BY product_id) AS l ON l.product_id = i.product_id
 WHERE i.business_id = $1 AND i.waiting <> coalesce(l.places, 0)",
    },
];
