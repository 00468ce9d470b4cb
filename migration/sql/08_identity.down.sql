DROP TABLE api_keys;
DROP TABLE refresh_tokens;
DROP INDEX users_version_changed_idx;
REVOKE UPDATE (name, role, customer_id, disabled_at, version, version_changed_at, updated_at)
    ON users FROM tradeline_service;
ALTER TABLE users
    DROP CONSTRAINT users_name_length,
    DROP COLUMN updated_at,
    DROP COLUMN version_changed_at,
    DROP COLUMN version,
    DROP COLUMN disabled_at;
