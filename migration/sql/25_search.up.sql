-- Every reservation waits while this step waits for its lock: for a second at most.
SET LOCAL lock_timeout = '1s';

-- The words by which rows are found: words of names, addresses and references without case, accents and punctuation. The
-- service makes them; existing rows get theirs from `tradeline migrate` after this step. A search compares by `>=` and `<`
-- only: row security lets an index use these operators, unlike those of LIKE and of trigrams. A `customer_name` is a whole
-- name, by which a list is sorted.
CREATE TABLE search_terms (
    business_id uuid             NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    term        text COLLATE "C" NOT NULL,
    entity_id   uuid             NOT NULL,
    CONSTRAINT search_terms_pkey PRIMARY KEY (business_id, kind, term, entity_id),
    CONSTRAINT search_terms_kind_known CHECK (kind IN ('customer', 'customer_name', 'order', 'payment', 'product')),
    CONSTRAINT search_terms_term_length CHECK (char_length(term) BETWEEN 1 AND 64)
);
-- The terms of one row: to replace them, and to check a row that was found otherwise.
CREATE INDEX search_terms_entity_idx ON search_terms (business_id, kind, entity_id, term);

ALTER TABLE search_terms ENABLE ROW LEVEL SECURITY;
ALTER TABLE search_terms FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON search_terms
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT, DELETE ON search_terms TO tradeline_service;

-- A customer's reservations, the newest first. A purchase writes none.
CREATE INDEX reservations_customer_idx ON reservations (business_id, customer_id, id);
