-- Every sale reads its customer and writes its order, and waits while this step waits for locks: for a second at most.
-- No table is rewritten; the checks read each once (some 0.5 s for a million orders).
SET LOCAL lock_timeout = '1s';

-- What a buyer and a business say about an order. The bounds are those of the API, in characters.
ALTER TABLE orders
    ADD COLUMN reference        text,
    ADD COLUMN note             text,
    ADD COLUMN delivery_address jsonb,
    ADD COLUMN metadata         jsonb,
    ADD CONSTRAINT orders_reference_length CHECK (char_length(reference) BETWEEN 1 AND 100),
    ADD CONSTRAINT orders_note_length CHECK (char_length(note) BETWEEN 1 AND 2000),
    ADD CONSTRAINT orders_delivery_address_object CHECK (jsonb_typeof(delivery_address) = 'object'),
    ADD CONSTRAINT orders_metadata_object CHECK (jsonb_typeof(metadata) = 'object');
GRANT UPDATE (reference, note, delivery_address, metadata) ON orders TO tradeline_service;

-- `reference` is the customer's number in the books of the business.
ALTER TABLE customers
    ADD COLUMN reference  text,
    ADD COLUMN contact    text,
    ADD COLUMN phone      text,
    ADD COLUMN vat_number text,
    ADD COLUMN addresses  jsonb,
    ADD COLUMN metadata   jsonb,
    ADD CONSTRAINT customers_reference_length CHECK (char_length(reference) BETWEEN 1 AND 100),
    ADD CONSTRAINT customers_contact_length CHECK (char_length(contact) BETWEEN 1 AND 200),
    ADD CONSTRAINT customers_phone_length CHECK (char_length(phone) BETWEEN 1 AND 30),
    ADD CONSTRAINT customers_vat_number_length CHECK (char_length(vat_number) BETWEEN 1 AND 20),
    ADD CONSTRAINT customers_addresses_list CHECK (jsonb_typeof(addresses) = 'array'),
    ADD CONSTRAINT customers_metadata_object CHECK (jsonb_typeof(metadata) = 'object');
GRANT UPDATE (reference, contact, phone, vat_number, addresses, metadata) ON customers TO tradeline_service;

-- A number in the books belongs to one customer. No purchase changes it, so updates of the balance stay off the index.
CREATE UNIQUE INDEX customers_reference_key ON customers (business_id, reference) WHERE reference IS NOT NULL;

ALTER TABLE products
    ADD COLUMN metadata jsonb,
    ADD CONSTRAINT products_metadata_object CHECK (jsonb_typeof(metadata) = 'object');
GRANT UPDATE (metadata) ON products TO tradeline_service;

-- Payments are append-only: what they carry is given when they are entered.
ALTER TABLE payments
    ADD COLUMN metadata jsonb,
    ADD CONSTRAINT payments_metadata_object CHECK (jsonb_typeof(metadata) = 'object');
