REVOKE UPDATE (quantity), DELETE ON reservation_items FROM tradeline_service;

ALTER TABLE reservations
    DROP CONSTRAINT reservations_cancel_reason_of_cancelled,
    DROP CONSTRAINT reservations_cancel_reason_known,
    DROP COLUMN cancel_reason;

DROP INDEX orders_unpaid_card_idx;

ALTER TABLE businesses
    DROP CONSTRAINT businesses_hold_limits_not_negative,
    DROP COLUMN self_registered_hold_limit_value,
    DROP COLUMN self_registered_hold_limit_units,
    DROP COLUMN hold_limit_value,
    DROP COLUMN hold_limit_units;

ALTER TABLE customers DROP COLUMN self_registered;

-- Without kinds a discount would take its products off sale.
ALTER TABLE sales         NO FORCE ROW LEVEL SECURITY;
ALTER TABLE sale_products NO FORCE ROW LEVEL SECURITY;
ALTER TABLE products      NO FORCE ROW LEVEL SECURITY;
DELETE FROM sale_products USING sales
 WHERE (sales.business_id, sales.id) = (sale_products.business_id, sale_products.sale_id) AND sales.kind = 'discount';
UPDATE products SET in_sale = false
 WHERE in_sale AND NOT EXISTS (SELECT FROM sale_products AS part
                                WHERE (part.business_id, part.product_id) = (products.business_id, products.id));
ALTER TABLE products      FORCE ROW LEVEL SECURITY;
ALTER TABLE sale_products FORCE ROW LEVEL SECURITY;
ALTER TABLE sales         FORCE ROW LEVEL SECURITY;
ALTER TABLE sales
    DROP CONSTRAINT sales_kind_known,
    DROP COLUMN kind;
