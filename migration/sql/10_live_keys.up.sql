-- Every process reads a business's keys that stand, each second in which one is used. Those that were revoked are never
-- deleted, and must not be read over and over with them.
CREATE INDEX api_keys_live_idx ON api_keys (business_id) WHERE revoked_at IS NULL;
