-- Every keyed write inserts here: this waits for none of them for long, and is run again when it fails.
SET LOCAL lock_timeout = '1s';

-- The response to a keyed request in the form in which its caller rendered it. The database and the domain read nothing in
-- it.
ALTER TABLE idempotency_keys ADD COLUMN response bytea;

-- Versions before this step insert status, location and body, and read no other columns. What they insert is read through
-- `former_response`. In rows of later versions they find these defaults: a retry that reaches an earlier version during
-- the upgrade does nothing, and is told to come again with the same key.
ALTER TABLE idempotency_keys
    ALTER COLUMN status SET DEFAULT 500,
    ALTER COLUMN body SET DEFAULT
        '{"type":"urn:tradeline:error:outcome_unknown","title":"It is not known whether the change was made",'
        '"status":500,"code":"outcome_unknown","detail":"The response to this request was stored by a later version of '
        'the service. Repeat the request with the same Idempotency-Key."}';

-- The bytes that stand for what earlier versions kept. Format 1: the byte 1, the status and the length of the location as
-- two bytes each, the location, the body. Of an order by card earlier versions kept the id alone, and it stays that.
CREATE OR REPLACE FUNCTION former_response(status smallint, location text, body text) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE
        WHEN body ~ '^\{"order_id":"[0-9a-f-]{36}"\}$' THEN uuid_send(substring(body FROM 14 FOR 36)::uuid)
        ELSE '\x01'::bytea || int2send(status)
             || int2send(octet_length(convert_to(coalesce(location, ''), 'UTF8'))::smallint)
             || convert_to(coalesce(location, ''), 'UTF8') || convert_to(body, 'UTF8')
    END;
