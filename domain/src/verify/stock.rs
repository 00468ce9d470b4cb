//! Stock: what the movements and the sales come to.

use super::Check;

pub(super) const CHECKS: &[Check] = &[Check {
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
}];
