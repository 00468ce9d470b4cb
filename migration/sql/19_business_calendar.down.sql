DROP INDEX orders_unpaid_due_idx;
ALTER TABLE businesses DROP COLUMN books_closed_until, DROP COLUMN time_zone;
