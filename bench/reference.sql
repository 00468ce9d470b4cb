-- The reference that the desk is compared with: one stored procedure per purchase, which takes its locks one after
-- another. It has what such a schema has: keys, foreign keys, checks, and an index on each foreign key that is
-- searched. It has nothing that Tradeline adds: tenants, row-level security, audit entries, idempotency keys, HTTP.
CREATE SCHEMA reference;
SET search_path = reference;
-- Applies to all later sessions. A setting of the function itself would be set and reset in each call.
ALTER DATABASE :"DBNAME" SET search_path = reference;

CREATE TABLE customers (
    id           bigint PRIMARY KEY,
    credit_limit numeric(19,4) NOT NULL CHECK (credit_limit >= 0),
    balance      numeric(19,4) NOT NULL DEFAULT 0
) WITH (fillfactor = 80);

CREATE TABLE products (
    id    bigint PRIMARY KEY,
    price numeric(19,4) NOT NULL CHECK (price >= 0),
    stock bigint        NOT NULL CHECK (stock >= 0)
) WITH (fillfactor = 80);

CREATE TABLE orders (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id  bigint        NOT NULL REFERENCES customers,
    total_amount numeric(19,4) NOT NULL,
    created_at   timestamptz   NOT NULL DEFAULT now()
);
CREATE INDEX ON orders (customer_id);

CREATE TABLE order_items (
    order_id   bigint        NOT NULL REFERENCES orders,
    product_id bigint        NOT NULL REFERENCES products,
    quantity   bigint        NOT NULL CHECK (quantity > 0),
    unit_price numeric(19,4) NOT NULL,
    PRIMARY KEY (order_id, product_id)
);

CREATE TABLE ledger_entries (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id   bigint        NOT NULL REFERENCES customers,
    order_id      bigint        NOT NULL REFERENCES orders,
    amount        numeric(19,4) NOT NULL,
    balance_after numeric(19,4) NOT NULL,
    created_at    timestamptz   NOT NULL DEFAULT now()
);
CREATE INDEX ON ledger_entries (customer_id);

CREATE FUNCTION purchase(buyer bigint, product_ids bigint[], quantities bigint[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    account  customers;
    found_   products;
    total    numeric(19,4) := 0;
    prices   numeric(19,4)[] := '{}';
    order_id bigint;
BEGIN
    SELECT * INTO account FROM customers WHERE id = buyer FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'customer_not_found';
    END IF;
    FOR line IN 1 .. cardinality(product_ids) LOOP
        SELECT * INTO found_ FROM products WHERE id = product_ids[line] FOR UPDATE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'product_not_found';
        END IF;
        IF found_.stock < quantities[line] THEN
            RAISE EXCEPTION 'insufficient_stock';
        END IF;
        prices := prices || found_.price;
        total := total + found_.price * quantities[line];
    END LOOP;
    IF account.balance + total > account.credit_limit THEN
        RAISE EXCEPTION 'credit_limit_exceeded';
    END IF;
    INSERT INTO orders (customer_id, total_amount) VALUES (buyer, total) RETURNING id INTO order_id;
    FOR line IN 1 .. cardinality(product_ids) LOOP
        INSERT INTO order_items VALUES (order_id, product_ids[line], quantities[line], prices[line]);
        UPDATE products SET stock = stock - quantities[line] WHERE id = product_ids[line];
    END LOOP;
    UPDATE customers SET balance = balance + total WHERE id = buyer;
    INSERT INTO ledger_entries (customer_id, order_id, amount, balance_after)
    VALUES (buyer, order_id, total, account.balance + total);
    RETURN order_id;
END
$$;

INSERT INTO customers SELECT n, 900000000000000 FROM generate_series(1, :customers) AS n;
INSERT INTO products SELECT n, 10 + n % 90, 1000000000 FROM generate_series(1, :products) AS n;
-- Analyses only tables with rows: an ANALYZE of the empty tables would make foreign-key checks use sequential scans.
VACUUM (ANALYZE) customers, products;
