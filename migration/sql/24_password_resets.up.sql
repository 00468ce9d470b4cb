-- Logins and refreshes lock rows of users: this waits for none of them for long, and is run again when it fails.
SET LOCAL lock_timeout = '1s';

-- A deleted user keeps the row and the id, which the trail names. Address, name and password are replaced.
--
-- `kept_login` is the one login that a change of the password did not end: its access tokens from `kept_from_version` on
-- stay valid while the user's version is `kept_at_version`. A version before this step raises the version alone, and so
-- ends that login too.
ALTER TABLE users
    ADD COLUMN deleted_at        timestamptz,
    ADD COLUMN kept_login        uuid,
    ADD COLUMN kept_from_version integer,
    ADD COLUMN kept_at_version   integer,
    ADD CONSTRAINT users_deleted_disabled CHECK (deleted_at IS NULL OR disabled_at IS NOT NULL),
    ADD CONSTRAINT users_kept_whole CHECK (num_nulls(kept_login, kept_from_version, kept_at_version) IN (0, 3));

GRANT UPDATE (email, password_hash, deleted_at, kept_login, kept_from_version, kept_at_version)
    ON users TO tradeline_service;

-- The code with which a user sets a new password, as SHA-256. A user has at most one: a new code replaces the row, and
-- its use deletes it. `enables` is true for a code of the platform, which also enables a disabled admin.
CREATE TABLE password_resets (
    business_id uuid        NOT NULL,
    user_id     uuid        NOT NULL,
    code_hash   bytea       NOT NULL,
    enables     boolean     NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    CONSTRAINT password_resets_pkey PRIMARY KEY (business_id, user_id),
    CONSTRAINT password_resets_user_fkey FOREIGN KEY (business_id, user_id) REFERENCES users (business_id, id),
    CONSTRAINT password_resets_hash_length CHECK (octet_length(code_hash) = 32),
    CONSTRAINT password_resets_life CHECK (expires_at <= created_at + interval '1 hour')
);

ALTER TABLE password_resets ENABLE ROW LEVEL SECURITY;
ALTER TABLE password_resets FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON password_resets
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT, DELETE ON password_resets TO tradeline_service;

-- Finds the customers that staff made with the address of a user who registered. No sale writes these columns.
CREATE INDEX customers_email_idx ON customers (business_id, email) WHERE NOT self_registered;
