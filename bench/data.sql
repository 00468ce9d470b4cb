-- One business with many customers and products, and more stock than any run sells. The owner of the tables runs this.
-- Ids contain the numbers that load.lua counts with.
BEGIN;
SET LOCAL app.business_id = '00000000-0000-7000-8000-000000000000';
INSERT INTO businesses (id, slug, name, currency)
VALUES ('00000000-0000-7000-8000-000000000000', 'bench', 'Bench', 'USD');
INSERT INTO customers (business_id, id, name, credit_limit)
SELECT '00000000-0000-7000-8000-000000000000', ('00000000-0000-7000-8001-' || lpad(to_hex(n), 12, '0'))::uuid,
       'Customer ' || n, 900000000000000
  FROM generate_series(1, :customers) AS n;
INSERT INTO products (business_id, id, sku, name, price)
SELECT '00000000-0000-7000-8000-000000000000', ('00000000-0000-7000-8002-' || lpad(to_hex(n), 12, '0'))::uuid,
       'SKU-' || n, 'Product ' || n, 10 + n % 90
  FROM generate_series(1, :products) AS n;
INSERT INTO inventory (business_id, product_id, on_hand)
SELECT business_id, id, 1000000000 FROM products;
INSERT INTO stock_movements (business_id, id, product_id, quantity, on_hand_after, reason, actor_id)
SELECT business_id, gen_random_uuid(), id, 1000000000, 1000000000, 'received',
       '00000000-0000-0000-0000-000000000000'
  FROM products;
COMMIT;
