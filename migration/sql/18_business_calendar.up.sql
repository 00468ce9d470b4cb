-- Every sale reads its business and writes its order, and waits while this step waits for locks: for a second at most.
-- The index takes as long as it takes to read the orders, in which nothing is sold (3 s for a million).
SET LOCAL lock_timeout = '1s';

-- The days of a business are those of its time zone, a name of the IANA database. What is due when, which day a report
-- ends with and what is past due by how many days is computed by the service, whose copy of that database decides.
-- Nothing may be dated before the day until which the books are closed; NULL leaves everything open.
ALTER TABLE businesses
    ADD COLUMN time_zone          text NOT NULL DEFAULT 'UTC',
    ADD COLUMN books_closed_until date,
    ADD CONSTRAINT businesses_time_zone_length CHECK (char_length(time_zone) BETWEEN 1 AND 64),
    ADD CONSTRAINT businesses_books_closed_until_range CHECK (books_closed_until >= DATE '1970-01-01');
GRANT INSERT (time_zone), UPDATE (time_zone, books_closed_until) ON businesses TO tradeline_service;

-- What is unpaid of a business, that which is due for longest first, with the columns that the reports add up. A page of
-- overdue customers walks it and stops when it is full. It takes the place of the index by the order's date, so that a
-- sale writes no index more; who asks by the order's date has all that is unpaid sorted. It cannot serve a foreign key, so
-- being younger than the primary key does no harm (see 05).
DROP INDEX orders_unpaid_idx;
CREATE INDEX orders_unpaid_idx ON orders (business_id, due_at, customer_id) INCLUDE (created_at, amount_due)
    WHERE amount_due > 0 AND payment_method = 'credit';
