-- Which orders and payments a transaction changed by settling orders: its allocations carry the time at which it began, as
-- its audit entry does. A purchase without credit on account writes no allocation, and so nothing here.
SET LOCAL lock_timeout = '1s';

CREATE INDEX allocations_created_idx ON allocations (business_id, created_at);
