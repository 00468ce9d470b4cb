-- Stock that is held for a while, and the lines of those who wait for some to come free.

-- `reserved` is what the held items come to. `waiting` is how many stand in the product's line, `places_given` the
-- number of its newest place: the order in which they came, which depends on no clock.
ALTER TABLE inventory
    ADD COLUMN waiting      bigint NOT NULL DEFAULT 0,
    ADD COLUMN places_given bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT inventory_waiting_not_negative CHECK (waiting >= 0);
GRANT UPDATE (waiting, places_given) ON inventory TO tradeline_service;
-- Where freed stock has somebody waiting for it, for the sweeper.
CREATE INDEX inventory_waiting_idx ON inventory (business_id, product_id) WHERE waiting > 0;

-- Each resolves once: confirmed, cancelled, sold out, or expired. It is expired from `expires_at` on, whether or not
-- anyone has written that down yet.
CREATE TABLE reservations (
    business_id uuid        NOT NULL,
    id          uuid        NOT NULL,
    customer_id uuid        NOT NULL,
    status      text        NOT NULL,
    -- For how long stock is held, from the moment that it is.
    ttl_seconds integer     NOT NULL,
    expires_at  timestamptz NOT NULL,
    -- What it became.
    order_id    uuid,
    created_by  uuid        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT reservations_customer_fkey FOREIGN KEY (business_id, customer_id) REFERENCES customers (business_id, id),
    CONSTRAINT reservations_order_fkey FOREIGN KEY (business_id, order_id) REFERENCES orders (business_id, id),
    CONSTRAINT reservations_status_known
        CHECK (status IN ('waiting', 'active', 'confirmed', 'cancelled', 'expired', 'sold_out')),
    CONSTRAINT reservations_ttl_range CHECK (ttl_seconds BETWEEN 60 AND 3600),
    CONSTRAINT reservations_confirmed_into_an_order CHECK ((status = 'confirmed') = (order_id IS NOT NULL))
) WITH (fillfactor = 80);
-- What a customer holds and waits for; what is over its time.
CREATE INDEX reservations_open_idx ON reservations (business_id, customer_id) WHERE status IN ('waiting', 'active');
CREATE INDEX reservations_expiry_idx ON reservations (business_id, expires_at) WHERE status IN ('waiting', 'active');
-- After the indexes: see 05.
ALTER TABLE reservations ADD CONSTRAINT reservations_pkey PRIMARY KEY (business_id, id);

-- What is held or waited for, one row a product, at the price of that moment. An item is changed under the lock of its
-- inventory row, and counts in `reserved` there while it is held.
CREATE TABLE reservation_items (
    business_id    uuid          NOT NULL,
    reservation_id uuid          NOT NULL,
    product_id     uuid          NOT NULL,
    line           integer       NOT NULL,
    quantity       bigint        NOT NULL,
    unit_price     numeric(19,4) NOT NULL,
    held           boolean       NOT NULL,
    -- In the product's line, while it waits.
    place          bigint,
    expires_at     timestamptz   NOT NULL,
    CONSTRAINT reservation_items_pkey PRIMARY KEY (business_id, reservation_id, product_id),
    CONSTRAINT reservation_items_reservation_fkey FOREIGN KEY (business_id, reservation_id)
        REFERENCES reservations (business_id, id),
    CONSTRAINT reservation_items_inventory_fkey FOREIGN KEY (business_id, product_id)
        REFERENCES inventory (business_id, product_id),
    CONSTRAINT reservation_items_quantity_positive CHECK (quantity > 0),
    CONSTRAINT reservation_items_held_or_waiting CHECK (NOT held OR place IS NULL)
) WITH (fillfactor = 80);
CREATE INDEX reservation_items_expiry_idx ON reservation_items (business_id, product_id, expires_at)
    INCLUDE (quantity) WHERE held OR place IS NOT NULL;
-- The line of a product, from its head on; and those in it who want more than so many.
CREATE INDEX reservation_items_line_idx ON reservation_items (business_id, product_id, place) WHERE place IS NOT NULL;
CREATE INDEX reservation_items_wanted_idx ON reservation_items (business_id, product_id, quantity)
    WHERE place IS NOT NULL;

ALTER TABLE reservations      ENABLE ROW LEVEL SECURITY;
ALTER TABLE reservations      FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON reservations
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);
ALTER TABLE reservation_items ENABLE ROW LEVEL SECURITY;
ALTER TABLE reservation_items FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON reservation_items
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT ON reservations, reservation_items TO tradeline_service;
GRANT UPDATE (status, expires_at, order_id, updated_at) ON reservations TO tradeline_service;
GRANT UPDATE (held, place, expires_at) ON reservation_items TO tradeline_service;

-- Every change of `reserved` is a movement too: they add up to it.
ALTER TABLE stock_movements
    ADD COLUMN reserved       bigint NOT NULL DEFAULT 0,
    ADD COLUMN reservation_id uuid,
    ADD CONSTRAINT stock_movements_reservation_fkey FOREIGN KEY (business_id, reservation_id)
        REFERENCES reservations (business_id, id),
    DROP CONSTRAINT stock_movements_reason_known,
    ADD CONSTRAINT stock_movements_reason_known CHECK (
        reason IN ('received', 'damaged', 'lost', 'found', 'stocktake', 'returned', 'correction', 'reserved', 'released')),
    ADD CONSTRAINT stock_movements_reserved_by_reservations
        CHECK ((reserved <> 0) = (reason IN ('reserved', 'released')) AND (reserved = 0 OR quantity = 0));
