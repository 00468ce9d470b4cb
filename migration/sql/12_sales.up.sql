-- Sales with a start and an end. A product that is in a sale is sold while one of its sales is open, and not otherwise.
CREATE TABLE sales (
    business_id        uuid        NOT NULL,
    id                 uuid        NOT NULL,
    name               text        NOT NULL,
    opens_at           timestamptz NOT NULL,
    closes_at          timestamptz NOT NULL,
    -- How many of each of its products one customer may buy and hold in it.
    limit_per_customer integer,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sales_pkey PRIMARY KEY (business_id, id),
    CONSTRAINT sales_business_fkey FOREIGN KEY (business_id) REFERENCES businesses (id),
    CONSTRAINT sales_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT sales_open_before_they_close CHECK (opens_at < closes_at),
    CONSTRAINT sales_limit_per_customer_positive CHECK (limit_per_customer > 0)
);

-- What is in a sale. Without a price of its own a product has the catalogue's.
CREATE TABLE sale_products (
    business_id uuid          NOT NULL,
    sale_id     uuid          NOT NULL,
    product_id  uuid          NOT NULL,
    price       numeric(19,4),
    CONSTRAINT sale_products_pkey PRIMARY KEY (business_id, sale_id, product_id),
    CONSTRAINT sale_products_sale_fkey FOREIGN KEY (business_id, sale_id) REFERENCES sales (business_id, id),
    CONSTRAINT sale_products_product_fkey FOREIGN KEY (business_id, product_id) REFERENCES products (business_id, id),
    CONSTRAINT sale_products_price_not_negative CHECK (price >= 0)
);
CREATE INDEX sale_products_product_idx ON sale_products (business_id, product_id);

-- Whether a product is in a sale, on the row that every purchase reads: those of other products look for no sale.
ALTER TABLE products ADD COLUMN in_sale boolean NOT NULL DEFAULT false;
GRANT UPDATE (in_sale) ON products TO tradeline_service;

ALTER TABLE sales         ENABLE ROW LEVEL SECURITY;
ALTER TABLE sales         FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sales
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);
ALTER TABLE sale_products ENABLE ROW LEVEL SECURITY;
ALTER TABLE sale_products FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sale_products
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT ON sales TO tradeline_service;
GRANT UPDATE (name, opens_at, closes_at, limit_per_customer, updated_at) ON sales TO tradeline_service;
GRANT SELECT, INSERT, DELETE ON sale_products TO tradeline_service;
