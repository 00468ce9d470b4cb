-- Inserts many orders with everything that belongs to them, as if they had been sold over the past year. Their ids are
-- UUIDs of version 7 with the time of their order, as the service would have made them.
BEGIN;
SET LOCAL session_replication_role = replica;
CREATE TEMPORARY TABLE past ON COMMIT DROP AS
SELECT n,
       '00000000-0000-7000-8000-000000000000'::uuid AS business_id,
       (lpad(to_hex((extract(epoch FROM made) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0')
        || '8' || substr(md5('order' || n), 1, 15))::uuid AS id,
       ('00000000-0000-7000-8001-' || lpad(to_hex(1 + (n * 7919) % :customers), 12, '0'))::uuid AS customer_id,
       1 + (n * 104729) % :products AS first,
       1 + (n * 104729 + 1 + n % 97) % :products AS second,
       made
  FROM (SELECT n, now() - interval '1 year' + n * (interval '364 days' / :orders) AS made
          FROM generate_series(1::bigint, :orders) AS n) AS times;

INSERT INTO orders (business_id, id, customer_id, status, payment_method, total_amount, due_at, created_by, created_at,
                    updated_at)
SELECT business_id, id, customer_id, 'approved', 'credit', 20 + first % 90 + second % 90, made + interval '30 days',
       '00000000-0000-0000-0000-000000000000', made, made
  FROM past;

INSERT INTO order_items (business_id, order_id, product_id, line, sku, name, quantity, unit_price, line_total,
                         on_hand_after)
SELECT business_id, id, ('00000000-0000-7000-8002-' || lpad(to_hex(number), 12, '0'))::uuid, line, 'SKU-' || number,
       'Product ' || number, 1, 10 + number % 90, 10 + number % 90, 0
  FROM past, LATERAL (VALUES (0, first), (1, second)) AS item (line, number);

INSERT INTO ledger_entries (business_id, customer_id, number, id, kind, amount, balance_after, order_id, effective_at,
                            created_at)
SELECT p.business_id, p.customer_id, c.entry_count + row_number() OVER (PARTITION BY p.customer_id ORDER BY p.made), p.id,
       'charge', 20 + first % 90 + second % 90, 0, p.id, made, made
  FROM past p JOIN customers c ON (c.business_id, c.id) = (p.business_id, p.customer_id);

INSERT INTO audit_events (business_id, id, action, entity_type, entity_id, actor_id, actor_role, request_id, after,
                          created_at)
SELECT business_id, id, 'order.approved', 'order', id, '00000000-0000-0000-0000-000000000000', 'staff', 'bench',
       '{"status": "approved"}', made
  FROM past;

UPDATE customers
   SET balance = balance + sold.amount, entry_count = entry_count + sold.orders
  FROM (SELECT customer_id, count(*) AS orders, sum(20 + first % 90 + second % 90) AS amount FROM past GROUP BY customer_id) AS sold
 WHERE customers.id = sold.customer_id;

UPDATE inventory
   SET on_hand = on_hand - sold.quantity
  FROM (SELECT number, count(*) AS quantity
          FROM past, LATERAL (VALUES (first), (second)) AS item (number) GROUP BY number) AS sold
 WHERE inventory.product_id = ('00000000-0000-7000-8002-' || lpad(to_hex(sold.number), 12, '0'))::uuid;
COMMIT;
VACUUM (ANALYZE);
CHECKPOINT;
