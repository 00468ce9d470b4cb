-- The role that the service works as. It owns nothing and cannot bypass row security; every table grants it what it
-- needs and no more. Roles belong to the whole server, so another database may have made it already, even this moment.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tradeline_service') THEN
        CREATE ROLE tradeline_service NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

GRANT USAGE ON SCHEMA public TO tradeline_service;

-- Readiness compares the migrations that are in with those that the service was built with.
GRANT SELECT ON seaql_migrations TO tradeline_service;
