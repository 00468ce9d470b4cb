-- A user's version rises with everything after which the tokens of before must stop: another role, another customer,
-- being disabled or enabled. Tokens carry the version that they were made at. `version_changed_at` lets a process read
-- the few users whom that may concern.
ALTER TABLE users
    ADD COLUMN disabled_at        timestamptz,
    ADD COLUMN version            integer     NOT NULL DEFAULT 1,
    ADD COLUMN version_changed_at timestamptz,
    ADD COLUMN updated_at         timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT users_name_length CHECK (char_length(name) BETWEEN 1 AND 200);
CREATE INDEX users_version_changed_idx ON users (business_id, version_changed_at) WHERE version_changed_at IS NOT NULL;

GRANT UPDATE (name, role, customer_id, disabled_at, version, version_changed_at, updated_at)
    ON users TO tradeline_service;

-- What a login may be prolonged with, as SHA-256: each is used once and followed by another of its family. A family is
-- one login; it ends when one of its tokens is used twice.
CREATE TABLE refresh_tokens (
    business_id uuid        NOT NULL,
    id          uuid        NOT NULL,
    family_id   uuid        NOT NULL,
    user_id     uuid        NOT NULL,
    token_hash  bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz,
    revoked_at  timestamptz,
    CONSTRAINT refresh_tokens_pkey PRIMARY KEY (business_id, id),
    CONSTRAINT refresh_tokens_token_key UNIQUE (business_id, token_hash),
    CONSTRAINT refresh_tokens_user_fkey FOREIGN KEY (business_id, user_id) REFERENCES users (business_id, id),
    CONSTRAINT refresh_tokens_hash_length CHECK (octet_length(token_hash) = 32)
);
CREATE INDEX refresh_tokens_user_idx ON refresh_tokens (business_id, user_id);
CREATE INDEX refresh_tokens_age_idx ON refresh_tokens (business_id, expires_at);

ALTER TABLE refresh_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE refresh_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON refresh_tokens
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT, DELETE ON refresh_tokens TO tradeline_service;
GRANT UPDATE (used_at, revoked_at) ON refresh_tokens TO tradeline_service;

-- The keys of programs, as SHA-256; `prefix` is the start of the key, for people to know it by. A key is revoked and
-- never deleted: the trail names it.
CREATE TABLE api_keys (
    business_id  uuid        NOT NULL,
    id           uuid        NOT NULL,
    name         text        NOT NULL,
    role         text        NOT NULL,
    prefix       text        NOT NULL,
    key_hash     bytea       NOT NULL,
    created_by   uuid        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at   timestamptz,
    CONSTRAINT api_keys_pkey PRIMARY KEY (business_id, id),
    CONSTRAINT api_keys_key_key UNIQUE (business_id, key_hash),
    CONSTRAINT api_keys_business_fkey FOREIGN KEY (business_id) REFERENCES businesses (id),
    CONSTRAINT api_keys_name_length CHECK (char_length(name) BETWEEN 1 AND 100),
    CONSTRAINT api_keys_role_known CHECK (role IN ('admin', 'staff')),
    CONSTRAINT api_keys_hash_length CHECK (octet_length(key_hash) = 32)
);

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON api_keys
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT ON api_keys TO tradeline_service;
GRANT UPDATE (last_used_at, revoked_at) ON api_keys TO tradeline_service;
