DROP TRIGGER products_new_sku ON products;
DROP FUNCTION products_new_sku();
ALTER TABLE products DROP CONSTRAINT products_exact_sku_key;
DROP INDEX products_sku_key;
ALTER TABLE products ADD CONSTRAINT products_sku_key UNIQUE (business_id, sku);
ALTER TABLE products DROP COLUMN sku_clash;
DROP FUNCTION sku_key(text);
