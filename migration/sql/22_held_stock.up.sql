-- What is held of a product and who waits for it: the one definition.
--
-- `reserved` and `places` are what the items come to, those too that have expired and that nobody has looked at since: the
-- inventory row says the same. `held` and `waiting` leave out what has expired.
--
-- The view reads as whoever asks, so row security holds: a transaction sees its own business, and none without a business.
CREATE VIEW held_stock WITH (security_invoker = true) AS
SELECT business_id,
       product_id,
       coalesce(sum(quantity) FILTER (WHERE held), 0)::bigint                        AS reserved,
       count(*)               FILTER (WHERE place IS NOT NULL)                        AS places,
       coalesce(sum(quantity) FILTER (WHERE held AND expires_at > now()), 0)::bigint AS held,
       count(*)               FILTER (WHERE place IS NOT NULL AND expires_at > now()) AS waiting
  FROM reservation_items
 WHERE held OR place IS NOT NULL
 GROUP BY business_id, product_id;

GRANT SELECT ON held_stock TO tradeline_service;
