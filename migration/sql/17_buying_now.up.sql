-- What can be bought now, by whom and at which price: kinds of sales, bounds on what one customer may hold, places in line
-- that end with their product, and reservations of which a purchase takes a part. Additive: a service of the version
-- before goes on working on it.

-- Every sale waits while this step waits for locks: for a second at most.
SET LOCAL lock_timeout = '1s';

-- A discount leaves its products on sale outside its window, an exclusive sale does not. Sales from before did not, and
-- neither do those that a service of the version before makes.
ALTER TABLE sales
    ADD COLUMN kind text NOT NULL DEFAULT 'exclusive',
    ADD CONSTRAINT sales_kind_known CHECK (kind IN ('discount', 'exclusive'));
GRANT UPDATE (kind) ON sales TO tradeline_service;

-- Whether the customer made its record itself.
ALTER TABLE customers ADD COLUMN self_registered boolean NOT NULL DEFAULT false;

-- The most that one customer may hold at once; NULL is no bound. The second pair bounds customers who registered
-- themselves, beside the first.
ALTER TABLE businesses
    ADD COLUMN hold_limit_units                 bigint,
    ADD COLUMN hold_limit_value                 numeric(19,4),
    ADD COLUMN self_registered_hold_limit_units bigint DEFAULT 20,
    ADD COLUMN self_registered_hold_limit_value numeric(19,4),
    ADD CONSTRAINT businesses_hold_limits_not_negative CHECK (
        hold_limit_units >= 0 AND hold_limit_value >= 0
        AND self_registered_hold_limit_units >= 0 AND self_registered_hold_limit_value >= 0);
GRANT UPDATE (hold_limit_units, hold_limit_value, self_registered_hold_limit_units, self_registered_hold_limit_value)
    ON businesses TO tradeline_service;

-- What a customer's unpaid orders by card hold is found by this. Orders on credit have no row in it.
CREATE INDEX orders_unpaid_card_idx ON orders (business_id, customer_id)
    WHERE payment_method = 'card' AND status IN ('created', 'payment_pending');

-- Why a reservation is cancelled; NULL when its customer or the staff asked for it.
ALTER TABLE reservations
    ADD COLUMN cancel_reason text,
    ADD CONSTRAINT reservations_cancel_reason_known CHECK (cancel_reason IN ('requested', 'product_inactive')),
    ADD CONSTRAINT reservations_cancel_reason_of_cancelled CHECK (cancel_reason IS NULL OR status = 'cancelled');
GRANT UPDATE (cancel_reason) ON reservations TO tradeline_service;

-- A purchase takes as much of a reservation as it buys: items shrink, and those of which nothing is left go.
GRANT UPDATE (quantity), DELETE ON reservation_items TO tradeline_service;
