SET LOCAL lock_timeout = '1s';

DROP INDEX customers_email_idx;
DROP TABLE password_resets;
REVOKE UPDATE (email, password_hash, deleted_at, kept_login, kept_from_version, kept_at_version)
    ON users FROM tradeline_service;
ALTER TABLE users
    DROP CONSTRAINT users_kept_whole,
    DROP CONSTRAINT users_deleted_disabled,
    DROP COLUMN kept_at_version,
    DROP COLUMN kept_from_version,
    DROP COLUMN kept_login,
    DROP COLUMN deleted_at;
