-- The trail in one order, which no entry can come into later, and sealed.

-- The number of the transaction that wrote an entry. Ids are made before the commit, by many processes: an entry can be
-- committed after one with a higher id. Transactions are numbered by the server: one that has not ended yet has a number
-- above all that PostgreSQL says have ended. In the primary key, so that the order needs no index of its own.
ALTER TABLE audit_events
    ADD COLUMN transaction_id bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;
ALTER TABLE audit_events
    DROP CONSTRAINT audit_events_pkey,
    ADD CONSTRAINT audit_events_pkey PRIMARY KEY (business_id, transaction_id, id);

-- Neither the number nor the time of an entry is the service's to choose.
REVOKE INSERT ON audit_events FROM tradeline_service;
GRANT INSERT (business_id, id, action, entity_type, entity_id, actor_id, actor_role, request_id, before, after)
    ON audit_events TO tradeline_service;

-- Each seal is about the entries after those of the one before, up to its last: `hash` is the SHA-256 of the one before
-- and of theirs. Append-only.
CREATE TABLE audit_seals (
    business_id         uuid        NOT NULL,
    number              bigint      NOT NULL,
    last_transaction_id bigint      NOT NULL,
    last_event_id       uuid        NOT NULL,
    events              bigint      NOT NULL,
    hash                bytea       NOT NULL,
    sealed_at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT audit_seals_pkey PRIMARY KEY (business_id, number),
    CONSTRAINT audit_seals_number_positive CHECK (number > 0),
    CONSTRAINT audit_seals_events_positive CHECK (events > 0),
    CONSTRAINT audit_seals_hash_length CHECK (octet_length(hash) = 32)
);

ALTER TABLE audit_seals ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_seals FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_seals
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT (business_id, number, last_transaction_id, last_event_id, events, hash)
    ON audit_seals TO tradeline_service;
