-- What was sold. `amount_due` is derived by the database, so it can never disagree with the two that it comes from.
CREATE TABLE orders (
    business_id    uuid          NOT NULL,
    id             uuid          NOT NULL,
    customer_id    uuid          NOT NULL,
    status         text          NOT NULL,
    payment_method text          NOT NULL,
    total_amount   numeric(19,4) NOT NULL,
    amount_paid    numeric(19,4) NOT NULL DEFAULT 0,
    amount_due     numeric(19,4) NOT NULL GENERATED ALWAYS AS (total_amount - amount_paid) STORED,
    due_at         timestamptz   NOT NULL,
    created_by     uuid          NOT NULL,
    created_at     timestamptz   NOT NULL DEFAULT now(),
    updated_at     timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT orders_customer_fkey FOREIGN KEY (business_id, customer_id) REFERENCES customers (business_id, id),
    CONSTRAINT orders_status_known
        CHECK (status IN ('created', 'payment_pending', 'approved', 'paid', 'fulfilled', 'cancelled')),
    CONSTRAINT orders_payment_method_known CHECK (payment_method IN ('credit', 'card')),
    CONSTRAINT orders_total_not_negative CHECK (total_amount >= 0),
    CONSTRAINT orders_paid_within_total CHECK (amount_paid BETWEEN 0 AND total_amount)
);
CREATE INDEX orders_customer_idx ON orders (business_id, customer_id, id);
CREATE INDEX orders_unpaid_idx ON orders (business_id, created_at) WHERE amount_due > 0;
-- After the indexes: of two that cost the same, the planner takes the younger. On the empty table all cost the same, and
-- the foreign-key checks keep the plan that they made then: through orders_customer_idx they would read a business's
-- whole index for each sale, until the next analyse.
ALTER TABLE orders ADD CONSTRAINT orders_pkey PRIMARY KEY (business_id, id);

ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON orders
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT ON orders TO tradeline_service;
GRANT UPDATE (status, amount_paid, updated_at) ON orders TO tradeline_service;

-- An order's lines, one a product, with the product as it was when it was sold. Append-only.
CREATE TABLE order_items (
    business_id uuid          NOT NULL,
    order_id    uuid          NOT NULL,
    product_id  uuid          NOT NULL,
    line        integer       NOT NULL,
    sku         text          NOT NULL,
    name        text          NOT NULL,
    quantity    bigint        NOT NULL,
    unit_price  numeric(19,4) NOT NULL,
    line_total  numeric(19,4) NOT NULL,
    on_hand_after bigint      NOT NULL,
    CONSTRAINT order_items_pkey PRIMARY KEY (business_id, order_id, product_id),
    CONSTRAINT order_items_order_fkey FOREIGN KEY (business_id, order_id) REFERENCES orders (business_id, id),
    CONSTRAINT order_items_inventory_fkey FOREIGN KEY (business_id, product_id)
        REFERENCES inventory (business_id, product_id),
    CONSTRAINT order_items_quantity_positive CHECK (quantity > 0),
    CONSTRAINT order_items_on_hand_after_not_negative CHECK (on_hand_after >= 0),
    CONSTRAINT order_items_line_total_exact CHECK (line_total = quantity * unit_price)
);
-- A product's sales, newest last: its movements are read from here.
CREATE INDEX order_items_product_idx ON order_items (business_id, product_id, order_id);

ALTER TABLE order_items ENABLE ROW LEVEL SECURITY;
ALTER TABLE order_items FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON order_items
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT ON order_items TO tradeline_service;

-- What each customer owes and why: charges raise the balance, payments lower it. A customer's balance is the sum of its
-- entries. The customer stands in the key, so the newest entries of one are next to each other. Append-only.
CREATE TABLE ledger_entries (
    business_id   uuid          NOT NULL,
    customer_id   uuid          NOT NULL,
    id            uuid          NOT NULL,
    kind          text          NOT NULL,
    amount        numeric(19,4) NOT NULL,
    balance_after numeric(19,4) NOT NULL,
    order_id      uuid,
    created_at    timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT ledger_entries_pkey PRIMARY KEY (business_id, customer_id, id),
    CONSTRAINT ledger_entries_customer_fkey FOREIGN KEY (business_id, customer_id)
        REFERENCES customers (business_id, id),
    CONSTRAINT ledger_entries_order_fkey FOREIGN KEY (business_id, order_id) REFERENCES orders (business_id, id),
    CONSTRAINT ledger_entries_kind_known
        CHECK (kind IN ('charge', 'payment', 'reversal', 'credit_note', 'write_off'))
);

ALTER TABLE ledger_entries ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_entries FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON ledger_entries
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT ON ledger_entries TO tradeline_service;
