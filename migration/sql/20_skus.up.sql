-- Every sale reads products: this waits for none of them for long, and is run again when it fails.
SET LOCAL lock_timeout = '1s';

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
    EXECUTE 'CREATE OR REPLACE FUNCTION sku_key(sku text) RETURNS text
             LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN ' || folded;
END
$$;

-- The number of a product that clashed with another before this rule: the oldest of them is under the rule, the others
-- keep theirs until they are changed.
ALTER TABLE products ADD COLUMN clashing_sku text;

ALTER TABLE products NO FORCE ROW LEVEL SECURITY;
UPDATE products
   SET clashing_sku = products.sku
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
CREATE UNIQUE INDEX products_sku_key
    ON products (business_id, sku_key(sku), (CASE WHEN clashing_sku = sku THEN sku ELSE '' END));
ALTER TABLE products ADD CONSTRAINT products_exact_sku_key UNIQUE (business_id, sku);
