-- The catalogue: what is sold and for how much.
CREATE TABLE products (
    business_id        uuid          NOT NULL,
    id                 uuid          NOT NULL,
    sku                text          NOT NULL,
    name               text          NOT NULL,
    description        text,
    price              numeric(19,4) NOT NULL,
    limit_per_customer integer,
    active             boolean       NOT NULL DEFAULT true,
    created_at         timestamptz   NOT NULL DEFAULT now(),
    updated_at         timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT products_pkey PRIMARY KEY (business_id, id),
    CONSTRAINT products_sku_key UNIQUE (business_id, sku),
    CONSTRAINT products_business_fkey FOREIGN KEY (business_id) REFERENCES businesses (id),
    CONSTRAINT products_sku_length CHECK (char_length(sku) BETWEEN 1 AND 100),
    CONSTRAINT products_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT products_description_length CHECK (char_length(description) <= 5000),
    CONSTRAINT products_price_not_negative CHECK (price >= 0),
    CONSTRAINT products_limit_per_customer_positive CHECK (limit_per_customer > 0)
);

ALTER TABLE products ENABLE ROW LEVEL SECURITY;
ALTER TABLE products FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON products
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT ON products TO tradeline_service;
GRANT UPDATE (sku, name, description, price, limit_per_customer, active, updated_at) ON products TO tradeline_service;

-- What is on the shelf, one row a product from the day that the product is made. Apart from the catalogue, so that the
-- rows that every sale updates meet neither edits of the catalogue nor its readers.
CREATE TABLE inventory (
    business_id uuid        NOT NULL,
    product_id  uuid        NOT NULL,
    on_hand     bigint      NOT NULL DEFAULT 0,
    reserved    bigint      NOT NULL DEFAULT 0,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT inventory_pkey PRIMARY KEY (business_id, product_id),
    CONSTRAINT inventory_product_fkey FOREIGN KEY (business_id, product_id) REFERENCES products (business_id, id),
    CONSTRAINT inventory_on_hand_not_negative CHECK (on_hand >= 0),
    CONSTRAINT inventory_reserved_not_negative CHECK (reserved >= 0),
    CONSTRAINT inventory_reserved_within_on_hand CHECK (reserved <= on_hand)
) WITH (fillfactor = 80);

ALTER TABLE inventory ENABLE ROW LEVEL SECURITY;
ALTER TABLE inventory FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON inventory
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT ON inventory TO tradeline_service;
GRANT UPDATE (on_hand, reserved, updated_at) ON inventory TO tradeline_service;

-- Every change of `on_hand` that is not a sale: goods received, lost, found, counted. A sale's order line is its own
-- movement, so the hot path writes no row here: movements less sold lines add up to `on_hand`. Append-only.
CREATE TABLE stock_movements (
    business_id   uuid        NOT NULL,
    id            uuid        NOT NULL,
    product_id    uuid        NOT NULL,
    quantity      bigint      NOT NULL,
    on_hand_after bigint      NOT NULL,
    reason        text        NOT NULL,
    note          text,
    actor_id      uuid        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT stock_movements_pkey PRIMARY KEY (business_id, product_id, id),
    CONSTRAINT stock_movements_inventory_fkey FOREIGN KEY (business_id, product_id)
        REFERENCES inventory (business_id, product_id),
    CONSTRAINT stock_movements_on_hand_after_not_negative CHECK (on_hand_after >= 0),
    CONSTRAINT stock_movements_note_length CHECK (char_length(note) <= 500),
    CONSTRAINT stock_movements_reason_known
        CHECK (reason IN ('received', 'damaged', 'lost', 'found', 'stocktake', 'returned', 'correction'))
);

ALTER TABLE stock_movements ENABLE ROW LEVEL SECURITY;
ALTER TABLE stock_movements FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON stock_movements
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT ON stock_movements TO tradeline_service;
