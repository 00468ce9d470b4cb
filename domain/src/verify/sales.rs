//! Sales: checks of the products in them.

use super::Check;

pub(super) const CHECKS: &[Check] = &[Check {
    name: "product_is_marked_when_a_sale_has_it",
    sql: "
SELECT 'product ' || p.id AS subject,
       CASE WHEN s.product_id IS NULL THEN 'in no sale' ELSE 'in a sale' END AS expected,
       CASE WHEN p.in_sale THEN 'in a sale' ELSE 'in no sale' END AS found
  FROM products p
  LEFT JOIN (SELECT DISTINCT product_id FROM sale_products WHERE business_id = $1) AS s ON s.product_id = p.id
 WHERE p.business_id = $1 AND p.in_sale <> (s.product_id IS NOT NULL)",
}];
