DROP TABLE audit_seals;
REVOKE INSERT (business_id, id, action, entity_type, entity_id, actor_id, actor_role, request_id, before, after)
    ON audit_events FROM tradeline_service;
GRANT INSERT ON audit_events TO tradeline_service;
ALTER TABLE audit_events
    DROP CONSTRAINT audit_events_pkey,
    ADD CONSTRAINT audit_events_pkey PRIMARY KEY (business_id, id);
ALTER TABLE audit_events DROP COLUMN transaction_id;
