-- Orders that are paid by card: what is asked of the payment provider, what it tells, what is given back, and how an order
-- came to be what it is.

ALTER TABLE orders
    -- Of what was paid by card, what is given back or on its way back.
    ADD COLUMN amount_refunded    numeric(19,4) NOT NULL DEFAULT 0,
    -- Why it was cancelled.
    ADD COLUMN cancel_reason      text,
    -- Where its goods are, once it is fulfilled.
    ADD COLUMN tracking_reference text,
    ADD CONSTRAINT orders_refunded_within_paid
        CHECK (amount_refunded BETWEEN 0 AND amount_settled - amount_credited),
    ADD CONSTRAINT orders_cancel_reason_known CHECK (
        cancel_reason IN ('requested', 'payment_expired', 'payment_refused', 'payment_cancelled', 'stock_gone',
                          'paid_too_late')),
    ADD CONSTRAINT orders_tracking_reference_length CHECK (char_length(tracking_reference) BETWEEN 1 AND 200);
GRANT UPDATE (amount_refunded, cancel_reason, tracking_reference) ON orders TO tradeline_service;

-- A line with a count is its own movement. One of an order that is not paid yet has none: its stock is held, and leaves
-- the shelf with a movement of its own when it is paid.
ALTER TABLE order_items ALTER COLUMN on_hand_after DROP NOT NULL;

ALTER TABLE stock_movements
    DROP CONSTRAINT stock_movements_reason_known,
    ADD CONSTRAINT stock_movements_reason_known CHECK (
        reason IN ('received', 'damaged', 'lost', 'found', 'stocktake', 'returned', 'correction', 'reserved', 'released',
                   'sold'));

-- An order's stock is held for as long as it may be paid.
ALTER TABLE reservations
    DROP CONSTRAINT reservations_ttl_range,
    ADD CONSTRAINT reservations_ttl_range CHECK (ttl_seconds BETWEEN 60 AND 86400);

-- What is asked of the payment provider: one an order. Changed under the order's lock.
CREATE TABLE payment_intents (
    business_id     uuid          NOT NULL,
    order_id        uuid          NOT NULL,
    -- What holds the order's stock.
    reservation_id  uuid          NOT NULL,
    provider        text          NOT NULL,
    -- The provider's id of it, as soon as it has told one.
    provider_id     text,
    -- What the buyer's page pays with.
    client_secret   text,
    amount          numeric(19,4) NOT NULL,
    status          text          NOT NULL,
    -- What the provider said when it did not go well.
    failure         text,
    -- Until when it can be paid.
    expires_at      timestamptz   NOT NULL,
    -- When something is to be asked of the provider, again or at last; NULL when nothing is.
    next_try_at     timestamptz,
    tries           integer       NOT NULL DEFAULT 0,
    created_at      timestamptz   NOT NULL DEFAULT now(),
    updated_at      timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT payment_intents_order_fkey FOREIGN KEY (business_id, order_id) REFERENCES orders (business_id, id),
    CONSTRAINT payment_intents_reservation_fkey FOREIGN KEY (business_id, reservation_id)
        REFERENCES reservations (business_id, id),
    CONSTRAINT payment_intents_amount_positive CHECK (amount > 0),
    CONSTRAINT payment_intents_status_known CHECK (
        status IN ('requested', 'pending', 'succeeded', 'mismatched', 'cancelling', 'cancelled', 'refused')),
    CONSTRAINT payment_intents_tries_not_negative CHECK (tries >= 0)
) WITH (fillfactor = 80);
CREATE INDEX payment_intents_due_idx ON payment_intents (business_id, next_try_at) WHERE next_try_at IS NOT NULL;
ALTER TABLE payment_intents ADD CONSTRAINT payment_intents_pkey PRIMARY KEY (business_id, order_id);

-- Money given back. Counts in the order's `amount_refunded` unless it has failed. Changed under the order's lock.
CREATE TABLE refunds (
    business_id uuid          NOT NULL,
    id          uuid          NOT NULL,
    order_id    uuid          NOT NULL,
    amount      numeric(19,4) NOT NULL,
    status      text          NOT NULL,
    reason      text          NOT NULL,
    restock     boolean       NOT NULL,
    -- Made at the provider, and told by it.
    by_hand     boolean       NOT NULL DEFAULT false,
    provider_id text,
    failure     text,
    next_try_at timestamptz            DEFAULT now(),
    tries       integer       NOT NULL DEFAULT 0,
    created_by  uuid          NOT NULL,
    created_at  timestamptz   NOT NULL DEFAULT now(),
    updated_at  timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT refunds_intent_fkey FOREIGN KEY (business_id, order_id)
        REFERENCES payment_intents (business_id, order_id),
    CONSTRAINT refunds_amount_positive CHECK (amount > 0),
    CONSTRAINT refunds_status_known CHECK (status IN ('requested', 'pending', 'succeeded', 'failed')),
    CONSTRAINT refunds_reason_length CHECK (char_length(reason) BETWEEN 1 AND 500),
    CONSTRAINT refunds_tries_not_negative CHECK (tries >= 0)
);
CREATE INDEX refunds_order_idx ON refunds (business_id, order_id);
CREATE INDEX refunds_due_idx ON refunds (business_id, next_try_at) WHERE next_try_at IS NOT NULL;
ALTER TABLE refunds ADD CONSTRAINT refunds_pkey PRIMARY KEY (business_id, id);

-- The items for which a refund is, if it is by items. Append-only.
CREATE TABLE refund_items (
    business_id uuid   NOT NULL,
    refund_id   uuid   NOT NULL,
    product_id  uuid   NOT NULL,
    quantity    bigint NOT NULL,
    CONSTRAINT refund_items_pkey PRIMARY KEY (business_id, refund_id, product_id),
    CONSTRAINT refund_items_refund_fkey FOREIGN KEY (business_id, refund_id) REFERENCES refunds (business_id, id),
    CONSTRAINT refund_items_inventory_fkey FOREIGN KEY (business_id, product_id)
        REFERENCES inventory (business_id, product_id),
    CONSTRAINT refund_items_quantity_positive CHECK (quantity > 0)
);

-- How an order came to be what it is, from its first status on, which it had when it was made: that one is not written
-- here, so that a purchase on credit writes nothing. Append-only.
CREATE TABLE order_transitions (
    business_id uuid        NOT NULL,
    order_id    uuid        NOT NULL,
    number      integer     NOT NULL,
    from_status text        NOT NULL,
    to_status   text        NOT NULL,
    actor_id    uuid        NOT NULL,
    actor_role  text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT order_transitions_pkey PRIMARY KEY (business_id, order_id, number),
    CONSTRAINT order_transitions_order_fkey FOREIGN KEY (business_id, order_id) REFERENCES orders (business_id, id),
    CONSTRAINT order_transitions_number_positive CHECK (number > 0)
);

-- Orders that were cancelled before transitions were written.
ALTER TABLE orders       NO FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_events NO FORCE ROW LEVEL SECURITY;
UPDATE orders SET cancel_reason = 'requested' WHERE status = 'cancelled';
INSERT INTO order_transitions (business_id, order_id, number, from_status, to_status, actor_id, actor_role, created_at)
SELECT o.business_id, o.id, 1, 'approved', 'cancelled', e.actor_id, e.actor_role, e.created_at
  FROM orders o
  JOIN audit_events e ON e.business_id = o.business_id AND e.entity_id = o.id AND e.action = 'order.cancelled'
 WHERE o.status = 'cancelled';
ALTER TABLE orders       FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_events FORCE ROW LEVEL SECURITY;

-- What the provider has told, each event once: the row is written in the transaction that does what it says. Append-only.
CREATE TABLE provider_events (
    business_id uuid        NOT NULL,
    provider    text        NOT NULL,
    event_id    text        NOT NULL,
    kind        text        NOT NULL,
    order_id    uuid        NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT provider_events_pkey PRIMARY KEY (business_id, provider, event_id),
    CONSTRAINT provider_events_intent_fkey FOREIGN KEY (business_id, order_id)
        REFERENCES payment_intents (business_id, order_id)
);

ALTER TABLE payment_intents   ENABLE ROW LEVEL SECURITY;
ALTER TABLE payment_intents   FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON payment_intents
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);
ALTER TABLE refunds           ENABLE ROW LEVEL SECURITY;
ALTER TABLE refunds           FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON refunds
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);
ALTER TABLE refund_items      ENABLE ROW LEVEL SECURITY;
ALTER TABLE refund_items      FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON refund_items
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);
ALTER TABLE order_transitions ENABLE ROW LEVEL SECURITY;
ALTER TABLE order_transitions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON order_transitions
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);
ALTER TABLE provider_events   ENABLE ROW LEVEL SECURITY;
ALTER TABLE provider_events   FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON provider_events
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT ON payment_intents, refunds, refund_items, order_transitions, provider_events TO tradeline_service;
GRANT UPDATE (provider_id, client_secret, status, failure, next_try_at, tries, updated_at)
    ON payment_intents TO tradeline_service;
GRANT UPDATE (status, provider_id, failure, next_try_at, tries, updated_at) ON refunds TO tradeline_service;
