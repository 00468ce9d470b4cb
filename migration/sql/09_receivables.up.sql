-- Receivables: what was received, credited and given up, and which orders it settled.
--
-- The ledger's entries are the dated documents of a customer's account. An entry that lowers the balance is a credit;
-- allocations say which orders it settles, and what of it settles none is credit on account. So at any moment, and at
-- any past date, the balance is what is due on the orders less the credit on account.

-- Row security is forced on owners too: without this the updates below would find no rows.
ALTER TABLE customers NO FORCE ROW LEVEL SECURITY;
ALTER TABLE orders NO FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger_entries NO FORCE ROW LEVEL SECURITY;

-- Entries are counted per customer under the customer's lock: their order, in which each balance follows from the one
-- before, depends on no clock, and a missing one shows.
ALTER TABLE ledger_entries
    ADD COLUMN number       bigint,
    ADD COLUMN effective_at timestamptz;
UPDATE ledger_entries SET number = counted.number, effective_at = created_at
  FROM (SELECT business_id, id, row_number() OVER (PARTITION BY business_id, customer_id ORDER BY id) AS number
          FROM ledger_entries) AS counted
 WHERE (ledger_entries.business_id, ledger_entries.id) = (counted.business_id, counted.id);
ALTER TABLE ledger_entries
    ALTER COLUMN number SET NOT NULL,
    ALTER COLUMN effective_at SET NOT NULL,
    ALTER COLUMN effective_at SET DEFAULT now(),
    DROP CONSTRAINT ledger_entries_pkey,
    ADD CONSTRAINT ledger_entries_pkey PRIMARY KEY (business_id, customer_id, number);

-- `entry_count` is the number of the customer's newest entry; `on_account` the sum of its credits on account, on this
-- row so that a purchase, which uses them up, need not look for them.
ALTER TABLE customers
    ADD COLUMN entry_count bigint        NOT NULL DEFAULT 0,
    ADD COLUMN on_account  numeric(19,4) NOT NULL DEFAULT 0,
    ADD CONSTRAINT customers_on_account_not_negative CHECK (on_account >= 0);
UPDATE customers SET entry_count = counted.entries
  FROM (SELECT business_id, customer_id, count(*) AS entries FROM ledger_entries GROUP BY 1, 2) AS counted
 WHERE (customers.business_id, customers.id) = (counted.business_id, counted.customer_id);
GRANT UPDATE (entry_count, on_account) ON customers TO tradeline_service;
-- What has become of the credits since some date. Purchases write charges, and so nothing here.
CREATE INDEX ledger_entries_credits_idx ON ledger_entries (business_id, effective_at) INCLUDE (customer_id, amount)
    WHERE kind <> 'charge';

-- What settles an order is either money or credit without money (a credit note, a write-off, a cancellation). A renamed
-- column spares the table a rewrite: `amount_due` goes on being the total less what is settled.
ALTER TABLE orders RENAME COLUMN amount_paid TO amount_settled;
ALTER TABLE orders RENAME CONSTRAINT orders_paid_within_total TO orders_settled_within_total;
ALTER TABLE orders
    ADD COLUMN amount_credited numeric(19,4) NOT NULL DEFAULT 0,
    ADD CONSTRAINT orders_credited_within_settled CHECK (amount_credited BETWEEN 0 AND amount_settled);
GRANT UPDATE (amount_credited) ON orders TO tradeline_service;
DROP INDEX orders_unpaid_idx;
-- What is unpaid of a business, the oldest first, and of one customer, the oldest due first; with the columns that the
-- reports add up, so that they need not read the orders. Neither can serve a foreign key, so being younger than the
-- primary key does no harm (see 05).
CREATE INDEX orders_unpaid_idx ON orders (business_id, created_at) INCLUDE (customer_id, due_at, amount_due)
    WHERE amount_due > 0 AND payment_method = 'credit';
CREATE INDEX orders_customer_unpaid_idx ON orders (business_id, customer_id, due_at, id) INCLUDE (created_at, amount_due)
    WHERE amount_due > 0 AND payment_method = 'credit';

-- Money received. Append-only: a bounced one is undone by a reversal.
CREATE TABLE payments (
    business_id  uuid          NOT NULL,
    id           uuid          NOT NULL,
    customer_id  uuid          NOT NULL,
    entry_number bigint        NOT NULL,
    amount       numeric(19,4) NOT NULL,
    method       text          NOT NULL,
    reference    text,
    received_at  timestamptz   NOT NULL,
    created_by   uuid          NOT NULL,
    created_at   timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT payments_entry_key UNIQUE (business_id, customer_id, entry_number),
    CONSTRAINT payments_entry_fkey FOREIGN KEY (business_id, customer_id, entry_number)
        REFERENCES ledger_entries (business_id, customer_id, number),
    CONSTRAINT payments_amount_positive CHECK (amount > 0),
    CONSTRAINT payments_method_length CHECK (char_length(method) BETWEEN 1 AND 50),
    CONSTRAINT payments_reference_length CHECK (char_length(reference) BETWEEN 1 AND 200),
    CONSTRAINT payments_pkey PRIMARY KEY (business_id, id)
);

-- What a customer need not pay of an order, by amount or by items. Append-only.
CREATE TABLE credit_notes (
    business_id  uuid          NOT NULL,
    id           uuid          NOT NULL,
    customer_id  uuid          NOT NULL,
    entry_number bigint        NOT NULL,
    order_id     uuid          NOT NULL,
    amount       numeric(19,4) NOT NULL,
    reason       text          NOT NULL,
    restock      boolean       NOT NULL,
    created_by   uuid          NOT NULL,
    created_at   timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT credit_notes_entry_key UNIQUE (business_id, customer_id, entry_number),
    CONSTRAINT credit_notes_entry_fkey FOREIGN KEY (business_id, customer_id, entry_number)
        REFERENCES ledger_entries (business_id, customer_id, number),
    CONSTRAINT credit_notes_order_fkey FOREIGN KEY (business_id, order_id) REFERENCES orders (business_id, id),
    CONSTRAINT credit_notes_amount_positive CHECK (amount > 0),
    CONSTRAINT credit_notes_reason_length CHECK (char_length(reason) BETWEEN 1 AND 500)
);
CREATE INDEX credit_notes_order_idx ON credit_notes (business_id, order_id);
ALTER TABLE credit_notes ADD CONSTRAINT credit_notes_pkey PRIMARY KEY (business_id, id);

-- The items that a credit note takes back, if it is by items. Append-only.
CREATE TABLE credit_note_items (
    business_id    uuid   NOT NULL,
    credit_note_id uuid   NOT NULL,
    product_id     uuid   NOT NULL,
    quantity       bigint NOT NULL,
    CONSTRAINT credit_note_items_pkey PRIMARY KEY (business_id, credit_note_id, product_id),
    CONSTRAINT credit_note_items_credit_note_fkey FOREIGN KEY (business_id, credit_note_id)
        REFERENCES credit_notes (business_id, id),
    CONSTRAINT credit_note_items_inventory_fkey FOREIGN KEY (business_id, product_id)
        REFERENCES inventory (business_id, product_id),
    CONSTRAINT credit_note_items_quantity_positive CHECK (quantity > 0)
);

-- What a business has given up of an order. Append-only.
CREATE TABLE write_offs (
    business_id  uuid          NOT NULL,
    id           uuid          NOT NULL,
    customer_id  uuid          NOT NULL,
    entry_number bigint        NOT NULL,
    order_id     uuid          NOT NULL,
    amount       numeric(19,4) NOT NULL,
    reason       text          NOT NULL,
    created_by   uuid          NOT NULL,
    created_at   timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT write_offs_entry_key UNIQUE (business_id, customer_id, entry_number),
    CONSTRAINT write_offs_entry_fkey FOREIGN KEY (business_id, customer_id, entry_number)
        REFERENCES ledger_entries (business_id, customer_id, number),
    CONSTRAINT write_offs_order_fkey FOREIGN KEY (business_id, order_id) REFERENCES orders (business_id, id),
    CONSTRAINT write_offs_amount_positive CHECK (amount > 0),
    CONSTRAINT write_offs_reason_length CHECK (char_length(reason) BETWEEN 1 AND 500)
);
CREATE INDEX write_offs_order_idx ON write_offs (business_id, order_id);
ALTER TABLE write_offs ADD CONSTRAINT write_offs_pkey PRIMARY KEY (business_id, id);

-- What undoes an earlier entry: a bounced payment, a credit note or a write-off taken back, the charge of a cancelled
-- order. Each entry is undone once at most. Append-only.
CREATE TABLE reversals (
    business_id  uuid        NOT NULL,
    customer_id  uuid        NOT NULL,
    entry_number bigint      NOT NULL,
    reverses     bigint      NOT NULL,
    reason       text        NOT NULL,
    created_by   uuid        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT reversals_pkey PRIMARY KEY (business_id, customer_id, entry_number),
    CONSTRAINT reversals_once UNIQUE (business_id, customer_id, reverses),
    CONSTRAINT reversals_entry_fkey FOREIGN KEY (business_id, customer_id, entry_number)
        REFERENCES ledger_entries (business_id, customer_id, number),
    CONSTRAINT reversals_reverses_fkey FOREIGN KEY (business_id, customer_id, reverses)
        REFERENCES ledger_entries (business_id, customer_id, number),
    CONSTRAINT reversals_reverses_earlier CHECK (reverses < entry_number),
    CONSTRAINT reversals_reason_length CHECK (char_length(reason) BETWEEN 1 AND 500)
);

-- Which order a credit settles, and with how much; negative where an allocation is undone. `effective_at` is when the
-- order was settled by it: never before the credit or the order was there. Append-only.
CREATE TABLE allocations (
    business_id  uuid          NOT NULL,
    id           uuid          NOT NULL,
    customer_id  uuid          NOT NULL,
    entry_number bigint        NOT NULL,
    order_id     uuid          NOT NULL,
    amount       numeric(19,4) NOT NULL,
    effective_at timestamptz   NOT NULL,
    created_at   timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT allocations_pkey PRIMARY KEY (business_id, order_id, id),
    CONSTRAINT allocations_entry_fkey FOREIGN KEY (business_id, customer_id, entry_number)
        REFERENCES ledger_entries (business_id, customer_id, number),
    CONSTRAINT allocations_order_fkey FOREIGN KEY (business_id, order_id) REFERENCES orders (business_id, id),
    CONSTRAINT allocations_amount_not_zero CHECK (amount <> 0)
);
CREATE INDEX allocations_entry_idx ON allocations (business_id, customer_id, entry_number);
CREATE INDEX allocations_effective_idx ON allocations (business_id, effective_at);

-- What is left of a credit: the next purchases use it up, the oldest first. A credit that is used up has no row.
CREATE TABLE credits_on_account (
    business_id  uuid          NOT NULL,
    customer_id  uuid          NOT NULL,
    entry_number bigint        NOT NULL,
    amount       numeric(19,4) NOT NULL,
    CONSTRAINT credits_on_account_pkey PRIMARY KEY (business_id, customer_id, entry_number),
    CONSTRAINT credits_on_account_entry_fkey FOREIGN KEY (business_id, customer_id, entry_number)
        REFERENCES ledger_entries (business_id, customer_id, number),
    CONSTRAINT credits_on_account_amount_positive CHECK (amount > 0)
);

-- Payments that were entered before there were documents for them: each named the order that it was for.
INSERT INTO payments (business_id, id, customer_id, entry_number, amount, method, received_at, created_by, created_at)
SELECT e.business_id, e.id, e.customer_id, e.number, -e.amount, 'other', e.effective_at, o.created_by, e.created_at
  FROM ledger_entries e JOIN orders o ON (o.business_id, o.id) = (e.business_id, e.order_id)
 WHERE e.kind = 'payment';
INSERT INTO allocations (business_id, id, customer_id, entry_number, order_id, amount, effective_at, created_at)
SELECT business_id, id, customer_id, number, order_id, -amount, effective_at, created_at
  FROM ledger_entries WHERE kind = 'payment' AND order_id IS NOT NULL;

ALTER TABLE customers FORCE ROW LEVEL SECURITY;
ALTER TABLE orders FORCE ROW LEVEL SECURITY;
ALTER TABLE ledger_entries FORCE ROW LEVEL SECURITY;

-- Goods that came back name the order that they came back from.
ALTER TABLE stock_movements
    ADD COLUMN order_id uuid,
    ADD CONSTRAINT stock_movements_order_fkey FOREIGN KEY (business_id, order_id) REFERENCES orders (business_id, id);

-- New purchases are stopped while a customer has an order that is due for longer than this; NULL stops none.
ALTER TABLE businesses
    ADD COLUMN block_after_days integer,
    ADD CONSTRAINT businesses_block_after_days_range CHECK (block_after_days BETWEEN 0 AND 3650);
GRANT UPDATE (block_after_days) ON businesses TO tradeline_service;

-- `tradeline verify` goes through all businesses: a transaction that says so sees which there are, and nothing of theirs.
CREATE POLICY listed ON businesses FOR SELECT
    USING (current_setting('app.businesses', true) = 'listed');

ALTER TABLE payments           ENABLE ROW LEVEL SECURITY;
ALTER TABLE payments           FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON payments
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);
ALTER TABLE credit_notes       ENABLE ROW LEVEL SECURITY;
ALTER TABLE credit_notes       FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON credit_notes
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);
ALTER TABLE credit_note_items  ENABLE ROW LEVEL SECURITY;
ALTER TABLE credit_note_items  FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON credit_note_items
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);
ALTER TABLE write_offs         ENABLE ROW LEVEL SECURITY;
ALTER TABLE write_offs         FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON write_offs
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);
ALTER TABLE reversals          ENABLE ROW LEVEL SECURITY;
ALTER TABLE reversals          FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON reversals
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);
ALTER TABLE allocations        ENABLE ROW LEVEL SECURITY;
ALTER TABLE allocations        FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON allocations
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);
ALTER TABLE credits_on_account ENABLE ROW LEVEL SECURITY;
ALTER TABLE credits_on_account FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON credits_on_account
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT
    ON payments, credit_notes, credit_note_items, write_offs, reversals, allocations, credits_on_account
    TO tradeline_service;
GRANT UPDATE (amount), DELETE ON credits_on_account TO tradeline_service;
