-- The logins of browsers, by the SHA-256 of what their cookie holds. They are no refresh tokens: a browser sends requests
-- in parallel, and a refresh token that is used twice ends its login.
--
-- `user_version` is the user's version at the login. A version before this step disables a user without ending sessions;
-- the version then ends them. `last_used_at` is written at most every few minutes.
CREATE TABLE sessions (
    business_id  uuid        NOT NULL,
    id           uuid        NOT NULL,
    user_id      uuid        NOT NULL,
    user_version integer     NOT NULL,
    token_hash   bytea       NOT NULL,
    user_agent   text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    CONSTRAINT sessions_pkey PRIMARY KEY (business_id, id),
    CONSTRAINT sessions_token_key UNIQUE (business_id, token_hash),
    CONSTRAINT sessions_user_fkey FOREIGN KEY (business_id, user_id) REFERENCES users (business_id, id),
    CONSTRAINT sessions_hash_length CHECK (octet_length(token_hash) = 32),
    CONSTRAINT sessions_user_agent_length CHECK (char_length(user_agent) BETWEEN 1 AND 200),
    CONSTRAINT sessions_life CHECK (expires_at <= created_at + interval '30 days')
);
CREATE INDEX sessions_user_idx ON sessions (business_id, user_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_age_idx ON sessions (business_id, expires_at);
-- Each process reads the sessions of a business that ended a moment ago, in each second in which it is used.
CREATE INDEX sessions_ended_idx ON sessions (business_id, ended_at) WHERE ended_at IS NOT NULL;

ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sessions
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT, DELETE ON sessions TO tradeline_service;
GRANT UPDATE (last_used_at, ended_at) ON sessions TO tradeline_service;
