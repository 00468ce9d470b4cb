-- Opening items: what customers owed, or had paid ahead, before a business used the service. One row for each imported
-- document. An amount above 0 is an order on credit without lines, one below 0 a payment. Append-only.
--
-- The key refuses a document that was imported before. A purchase writes nothing here.
CREATE TABLE opening_items (
    business_id uuid          NOT NULL,
    customer_id uuid          NOT NULL,
    reference   text          NOT NULL,
    amount      numeric(19,4) NOT NULL,
    order_id    uuid,
    payment_id  uuid,
    created_at  timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT opening_items_pkey PRIMARY KEY (business_id, customer_id, reference),
    CONSTRAINT opening_items_customer_fkey FOREIGN KEY (business_id, customer_id)
        REFERENCES customers (business_id, id),
    CONSTRAINT opening_items_order_fkey FOREIGN KEY (business_id, order_id) REFERENCES orders (business_id, id),
    CONSTRAINT opening_items_payment_fkey FOREIGN KEY (business_id, payment_id) REFERENCES payments (business_id, id),
    -- The reports on sales look here for the orders of a span of time, which are a range of ids.
    CONSTRAINT opening_items_order_key UNIQUE (business_id, order_id),
    CONSTRAINT opening_items_payment_key UNIQUE (business_id, payment_id),
    CONSTRAINT opening_items_reference_length CHECK (char_length(reference) BETWEEN 1 AND 100),
    CONSTRAINT opening_items_one_document CHECK (
        (amount > 0 AND order_id IS NOT NULL AND payment_id IS NULL)
        OR (amount < 0 AND order_id IS NULL AND payment_id IS NOT NULL))
);

ALTER TABLE opening_items ENABLE ROW LEVEL SECURITY;
ALTER TABLE opening_items FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON opening_items
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT ON opening_items TO tradeline_service;
