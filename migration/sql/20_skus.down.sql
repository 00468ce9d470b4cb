ALTER TABLE products DROP CONSTRAINT products_exact_sku_key;
DROP INDEX products_sku_key;
ALTER TABLE products ADD CONSTRAINT products_sku_key UNIQUE (business_id, sku);
ALTER TABLE products DROP COLUMN clashing_sku;
DROP FUNCTION sku_key(text);
