ALTER TABLE payments DROP COLUMN metadata;
ALTER TABLE products DROP COLUMN metadata;
DROP INDEX customers_reference_key;
ALTER TABLE customers
    DROP COLUMN metadata, DROP COLUMN addresses, DROP COLUMN vat_number, DROP COLUMN phone, DROP COLUMN contact,
    DROP COLUMN reference;
ALTER TABLE orders
    DROP COLUMN metadata, DROP COLUMN delivery_address, DROP COLUMN note, DROP COLUMN reference;
