-- The role itself stays: other databases of the same server may use it.
REVOKE SELECT ON seaql_migrations FROM tradeline_service;
REVOKE USAGE ON SCHEMA public FROM tradeline_service;
