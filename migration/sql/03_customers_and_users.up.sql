-- Who buys on credit. `balance` is the sum of the customer's ledger entries, kept on this row so that a purchase can
-- lock it. A limit may be lowered below the balance, therefore no constraint ties the two.
CREATE TABLE customers (
    business_id        uuid          NOT NULL,
    id                 uuid          NOT NULL,
    name               text          NOT NULL,
    email              text,
    credit_limit       numeric(19,4) NOT NULL DEFAULT 0,
    balance            numeric(19,4) NOT NULL DEFAULT 0,
    on_hold            boolean       NOT NULL DEFAULT false,
    payment_terms_days integer       NOT NULL DEFAULT 30,
    created_at         timestamptz   NOT NULL DEFAULT now(),
    updated_at         timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT customers_pkey PRIMARY KEY (business_id, id),
    CONSTRAINT customers_business_fkey FOREIGN KEY (business_id) REFERENCES businesses (id),
    CONSTRAINT customers_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT customers_credit_limit_not_negative CHECK (credit_limit >= 0),
    CONSTRAINT customers_payment_terms_range CHECK (payment_terms_days BETWEEN 0 AND 365)
) WITH (fillfactor = 80);

ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
ALTER TABLE customers FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON customers
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT ON customers TO tradeline_service;
GRANT UPDATE (name, email, credit_limit, balance, on_hold, payment_terms_days, updated_at)
    ON customers TO tradeline_service;

-- Who logs in. A user with the role `customer` acts for one customer, and only such a user does.
CREATE TABLE users (
    business_id   uuid        NOT NULL,
    id            uuid        NOT NULL,
    email         text        NOT NULL,
    name          text        NOT NULL,
    password_hash text        NOT NULL,
    role          text        NOT NULL,
    customer_id   uuid,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_pkey PRIMARY KEY (business_id, id),
    CONSTRAINT users_email_key UNIQUE (business_id, email),
    CONSTRAINT users_business_fkey FOREIGN KEY (business_id) REFERENCES businesses (id),
    CONSTRAINT users_customer_fkey FOREIGN KEY (business_id, customer_id) REFERENCES customers (business_id, id),
    CONSTRAINT users_email_lower CHECK (email = lower(email)),
    CONSTRAINT users_role_known CHECK (role IN ('admin', 'staff', 'customer')),
    CONSTRAINT users_customer_role CHECK ((role = 'customer') = (customer_id IS NOT NULL))
);

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON users
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT ON users TO tradeline_service;
