DROP POLICY listed ON businesses;
ALTER TABLE businesses DROP COLUMN block_after_days;
ALTER TABLE stock_movements DROP COLUMN order_id;
DROP TABLE credits_on_account;
DROP TABLE allocations;
DROP TABLE reversals;
DROP TABLE write_offs;
DROP TABLE credit_note_items;
DROP TABLE credit_notes;
DROP TABLE payments;
DROP INDEX orders_customer_unpaid_idx;
DROP INDEX orders_unpaid_idx;
ALTER TABLE orders DROP COLUMN amount_credited;
ALTER TABLE orders RENAME CONSTRAINT orders_settled_within_total TO orders_paid_within_total;
ALTER TABLE orders RENAME COLUMN amount_settled TO amount_paid;
CREATE INDEX orders_unpaid_idx ON orders (business_id, created_at) WHERE amount_due > 0;
ALTER TABLE customers
    DROP COLUMN on_account,
    DROP COLUMN entry_count;
ALTER TABLE ledger_entries
    DROP CONSTRAINT ledger_entries_pkey,
    ADD CONSTRAINT ledger_entries_pkey PRIMARY KEY (business_id, customer_id, id),
    DROP COLUMN effective_at,
    DROP COLUMN number;
