-- A business is a tenant. Every other table carries its id first in the primary key, in foreign keys and in indexes, and
-- shows its rows only to a transaction that has said `SET LOCAL app.business_id = '<id>'`. After the transaction the
-- setting is an empty string, not NULL: hence the nullif.
CREATE TABLE businesses (
    id         uuid        NOT NULL,
    slug       text        NOT NULL,
    name       text        NOT NULL,
    currency   text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT businesses_pkey PRIMARY KEY (id),
    CONSTRAINT businesses_slug_key UNIQUE (slug),
    CONSTRAINT businesses_slug_form CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    CONSTRAINT businesses_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT businesses_currency_form CHECK (currency ~ '^[A-Z]{3}$')
);

ALTER TABLE businesses ENABLE ROW LEVEL SECURITY;
ALTER TABLE businesses FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON businesses
    USING (id = nullif(current_setting('app.business_id', true), '')::uuid);
-- Logging in starts from a slug: whoever names one sees that one business.
CREATE POLICY named ON businesses FOR SELECT
    USING (slug = nullif(current_setting('app.business_slug', true), ''));

GRANT SELECT ON businesses TO tradeline_service;
