SET LOCAL lock_timeout = '1s';

DROP FUNCTION former_response(smallint, text, text);

-- What later versions have stored, in the columns of earlier ones. Of an order by card that is its id, whose second byte is
-- larger than that of any response: there it is the higher byte of the status.
ALTER TABLE idempotency_keys NO FORCE ROW LEVEL SECURITY;
UPDATE idempotency_keys
   SET status = 201,
       location = '/api/orders/' || encode(response, 'hex')::uuid,
       body = '{"order_id":"' || encode(response, 'hex')::uuid || '"}'
 WHERE octet_length(response) = 16 AND substring(response FROM 2 FOR 1) > '\x03';
UPDATE idempotency_keys
   SET status = get_byte(response, 1) * 256 + get_byte(response, 2),
       location = nullif(convert_from(substring(response FROM 6 FOR location_length), 'UTF8'), ''),
       body = convert_from(substring(response FROM 6 + location_length), 'UTF8')
  FROM (SELECT business_id, caller_id, key, get_byte(response, 3) * 256 + get_byte(response, 4) AS location_length
          FROM idempotency_keys
         WHERE octet_length(response) >= 5 AND substring(response FROM 1 FOR 2) BETWEEN '\x0100' AND '\x0103') AS stored
 WHERE (idempotency_keys.business_id, idempotency_keys.caller_id, idempotency_keys.key)
     = (stored.business_id, stored.caller_id, stored.key);
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;

ALTER TABLE idempotency_keys
    DROP COLUMN response,
    ALTER COLUMN status DROP DEFAULT,
    ALTER COLUMN body DROP DEFAULT;
