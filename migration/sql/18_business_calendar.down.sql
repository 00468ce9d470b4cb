DROP INDEX orders_unpaid_idx;
CREATE INDEX orders_unpaid_idx ON orders (business_id, created_at) INCLUDE (customer_id, due_at, amount_due)
    WHERE amount_due > 0 AND payment_method = 'credit';
ALTER TABLE businesses DROP COLUMN books_closed_until, DROP COLUMN time_zone;
