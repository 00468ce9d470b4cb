-- Inserts two years of sales on credit with everything that belongs to them. Of all orders, 85 % are paid by one
-- payment each, 5 % are paid in part and 10 % are unpaid. Every twentieth customer has 50.00 on account. A superuser
-- runs this after data.sql. A hash decides which orders are paid, so that it does not depend on the customer.
BEGIN;
SET LOCAL session_replication_role = replica;
CREATE TEMPORARY TABLE past ON COMMIT DROP AS
SELECT n, md5('order' || n)::uuid AS payment_id,
       (lpad(to_hex((extract(epoch FROM made) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0')
        || '8' || substr(md5('order' || n), 1, 15))::uuid AS id,
       ('00000000-0000-7000-8001-' || lpad(to_hex(1 + (n * 7919) % :customers), 12, '0'))::uuid AS customer_id,
       1 + n % :products AS product, (10 + (1 + n % :products) % 90)::numeric AS total, made,
       CASE WHEN abs(hashint8(n)) % 100 < 10 THEN 0 WHEN abs(hashint8(n)) % 100 < 15 THEN 0.4 ELSE 1 END
           * (10 + (1 + n % :products) % 90) AS paid,
       least(made + make_interval(days => 3 + abs(hashint8(n) / 100) % 50), now()) AS paid_at
  FROM (SELECT n, now() - interval '2 years' + n * (interval '729 days' / :orders) AS made
          FROM generate_series(1::bigint, :orders) AS n) AS times;

CREATE TEMPORARY TABLE entry ON COMMIT DROP AS
SELECT *, row_number() OVER account AS number, sum(amount) OVER account AS balance_after
  FROM (SELECT customer_id, id, 'charge' AS kind, total AS amount, id AS order_id, made AS at FROM past
        UNION ALL
        SELECT customer_id, payment_id, 'payment', -paid, NULL, paid_at FROM past WHERE paid > 0
        UNION ALL
        SELECT id, md5('ahead' || id)::uuid, 'payment', -50, NULL, now()
          FROM customers WHERE hashtext(id::text) % 20 = 0) AS entries
WINDOW account AS (PARTITION BY customer_id ORDER BY at, id ROWS UNBOUNDED PRECEDING);
CREATE INDEX ON entry (id) WHERE kind = 'payment';
ANALYZE entry;

INSERT INTO orders (business_id, id, customer_id, status, payment_method, total_amount, amount_settled, due_at,
                    created_by, created_at, updated_at)
SELECT :'business', id, customer_id, 'approved', 'credit', total, paid, made + interval '30 days', :'business', made, made
  FROM past;

INSERT INTO order_items (business_id, order_id, product_id, line, sku, name, quantity, unit_price, line_total,
                         on_hand_after)
SELECT :'business', id, ('00000000-0000-7000-8002-' || lpad(to_hex(product), 12, '0'))::uuid, 0, 'SKU-' || product,
       'Product ' || product, 1, total, total, 0
  FROM past;

INSERT INTO ledger_entries (business_id, customer_id, number, id, kind, amount, balance_after, order_id, effective_at,
                            created_at)
SELECT :'business', customer_id, number, id, kind, amount, balance_after, order_id, at, at FROM entry;

INSERT INTO payments (business_id, id, customer_id, entry_number, amount, method, received_at, created_by, created_at)
SELECT :'business', id, customer_id, number, -amount, 'bank_transfer', at, :'business', at
  FROM entry WHERE kind = 'payment';

INSERT INTO allocations (business_id, id, customer_id, entry_number, order_id, amount, effective_at, created_at)
SELECT :'business', p.payment_id, p.customer_id, e.number, p.id, p.paid, e.at, e.at
  FROM past p JOIN entry e ON e.id = p.payment_id AND e.kind = 'payment';

INSERT INTO credits_on_account (business_id, customer_id, entry_number, amount)
SELECT :'business', customer_id, number, -amount
  FROM entry WHERE kind = 'payment' AND id = md5('ahead' || customer_id)::uuid;

UPDATE customers
   SET balance = account.balance, entry_count = account.entries, on_account = account.ahead
  FROM (SELECT customer_id, sum(amount) AS balance, count(*) AS entries,
               coalesce(sum(-amount) FILTER (WHERE id = md5('ahead' || customer_id)::uuid), 0) AS ahead
          FROM entry GROUP BY customer_id) AS account
 WHERE customers.id = account.customer_id;

UPDATE inventory
   SET on_hand = on_hand - sold.quantity
  FROM (SELECT product, count(*) AS quantity FROM past GROUP BY product) AS sold
 WHERE inventory.product_id = ('00000000-0000-7000-8002-' || lpad(to_hex(sold.product), 12, '0'))::uuid;
COMMIT;
VACUUM (ANALYZE);
CHECKPOINT;
