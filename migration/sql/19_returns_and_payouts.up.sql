-- Returns and payouts.
--
-- Everything here is additive, and a service of an earlier version goes on working until the first payout: it does not know
-- that kind of entry, and cannot show an account that has one.
SET LOCAL lock_timeout = '1s';

-- Goods come back for the money that is left of their order, which may be nothing. The note of such a return has an entry
-- of 0 in the customer's account.
ALTER TABLE credit_notes
    DROP CONSTRAINT credit_notes_amount_positive,
    ADD CONSTRAINT credit_notes_amount_not_negative CHECK (amount >= 0),
    ADD CONSTRAINT credit_notes_of_nothing_restock CHECK (amount > 0 OR restock);
-- A refund of nothing only records the return: the provider is never asked for it.
ALTER TABLE refunds
    DROP CONSTRAINT refunds_amount_positive,
    ADD CONSTRAINT refunds_amount_not_negative CHECK (amount >= 0),
    ADD CONSTRAINT refunds_of_nothing_restock
        CHECK (amount > 0 OR (restock AND provider_id IS NULL AND next_try_at IS NULL));
-- What has come back of an order. Sales do not write to this index.
CREATE INDEX stock_movements_returned_idx ON stock_movements (business_id, order_id, product_id)
    WHERE reason = 'returned';

ALTER TABLE ledger_entries
    DROP CONSTRAINT ledger_entries_kind_known,
    ADD CONSTRAINT ledger_entries_kind_known
        CHECK (kind IN ('charge', 'payment', 'reversal', 'credit_note', 'write_off', 'payout'));

-- Credit on account that was paid out to its customer. Append-only: a payout that did not reach them is undone by a
-- reversal.
CREATE TABLE payouts (
    business_id  uuid          NOT NULL,
    id           uuid          NOT NULL,
    customer_id  uuid          NOT NULL,
    entry_number bigint        NOT NULL,
    amount       numeric(19,4) NOT NULL,
    method       text          NOT NULL,
    reference    text,
    paid_at      timestamptz   NOT NULL,
    created_by   uuid          NOT NULL,
    created_at   timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT payouts_entry_key UNIQUE (business_id, customer_id, entry_number),
    CONSTRAINT payouts_entry_fkey FOREIGN KEY (business_id, customer_id, entry_number)
        REFERENCES ledger_entries (business_id, customer_id, number),
    CONSTRAINT payouts_amount_positive CHECK (amount > 0),
    CONSTRAINT payouts_method_length CHECK (char_length(method) BETWEEN 1 AND 50),
    CONSTRAINT payouts_reference_length CHECK (char_length(reference) BETWEEN 1 AND 200),
    CONSTRAINT payouts_pkey PRIMARY KEY (business_id, id)
);
CREATE INDEX payouts_customer_idx ON payouts (business_id, customer_id, id);

-- Which credits a payout uses up, and how much of each; negative where one is given back. Append-only.
CREATE TABLE payout_allocations (
    business_id  uuid          NOT NULL,
    id           uuid          NOT NULL,
    customer_id  uuid          NOT NULL,
    payout_entry bigint        NOT NULL,
    credit_entry bigint        NOT NULL,
    amount       numeric(19,4) NOT NULL,
    effective_at timestamptz   NOT NULL,
    created_at   timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT payout_allocations_pkey PRIMARY KEY (business_id, customer_id, payout_entry, id),
    CONSTRAINT payout_allocations_payout_fkey FOREIGN KEY (business_id, customer_id, payout_entry)
        REFERENCES ledger_entries (business_id, customer_id, number),
    CONSTRAINT payout_allocations_credit_fkey FOREIGN KEY (business_id, customer_id, credit_entry)
        REFERENCES ledger_entries (business_id, customer_id, number),
    CONSTRAINT payout_allocations_amount_not_zero CHECK (amount <> 0)
);
CREATE INDEX payout_allocations_credit_idx ON payout_allocations (business_id, customer_id, credit_entry);

ALTER TABLE payouts            ENABLE ROW LEVEL SECURITY;
ALTER TABLE payouts            FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON payouts
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);
ALTER TABLE payout_allocations ENABLE ROW LEVEL SECURITY;
ALTER TABLE payout_allocations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON payout_allocations
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT ON payouts, payout_allocations TO tradeline_service;
