-- Numbers of products are unique without regard to case, width and the spaces around them: `AB-1`, `ab-1` and `ＡＢ－１`
-- are one number. ICU's mappings are those of Unicode wherever the database stands; a server without ICU maps as its
-- locale does.
DO $$
DECLARE
    folded text := 'lower(upper(btrim(normalize(sku, NFKC))))';
BEGIN
    IF EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu' AND collprovider = 'i') THEN
        folded := 'lower(upper(btrim(normalize(sku, NFKC)) COLLATE "und-x-icu") COLLATE "und-x-icu") COLLATE "C"';
    END IF;
    EXECUTE 'CREATE FUNCTION sku_key(sku text) RETURNS text
             LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN ' || folded;
END
$$;

-- What is 0 in every new row. Products that had clashing numbers before this rule keep them: the oldest has 0, the others
-- count from 1, and a new number puts them under the rule.
ALTER TABLE products ADD COLUMN sku_clash integer NOT NULL DEFAULT 0;
ALTER TABLE products ADD CONSTRAINT products_sku_clash_not_negative CHECK (sku_clash >= 0);

ALTER TABLE products NO FORCE ROW LEVEL SECURITY;
UPDATE products
   SET sku_clash = clash.number
  FROM (SELECT business_id, id,
               row_number() OVER (PARTITION BY business_id, sku_key(sku) ORDER BY created_at, id) - 1 AS number
          FROM products) AS clash
 WHERE (products.business_id, products.id) = (clash.business_id, clash.id) AND clash.number > 0;
-- Addresses are kept in normalization form C. One that would clash stays as it is.
ALTER TABLE users NO FORCE ROW LEVEL SECURITY;
UPDATE users
   SET email = normalize(email, NFC)
 WHERE email IS NOT NFC NORMALIZED
   AND NOT EXISTS (SELECT FROM users AS other
                    WHERE other.business_id = users.business_id AND other.id <> users.id
                      AND normalize(other.email, NFC) = normalize(users.email, NFC));
ALTER TABLE users    FORCE ROW LEVEL SECURITY;
ALTER TABLE products FORCE ROW LEVEL SECURITY;

-- The new rule has the name of the old one, and is looked at first, so that a service of the version before says
-- `already_exists` too.
ALTER TABLE products DROP CONSTRAINT products_sku_key;
CREATE UNIQUE INDEX products_sku_key ON products (business_id, sku_key(sku), sku_clash);
ALTER TABLE products ADD CONSTRAINT products_exact_sku_key UNIQUE (business_id, sku);

CREATE FUNCTION products_new_sku() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.sku_clash := 0;
    RETURN NEW;
END
$$;
CREATE TRIGGER products_new_sku BEFORE UPDATE OF sku ON products
    FOR EACH ROW WHEN (NEW.sku IS DISTINCT FROM OLD.sku) EXECUTE FUNCTION products_new_sku();
