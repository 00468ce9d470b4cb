-- Money by card that comes back or is taken back: disputes, refunds that fail late, payments of another amount, and the
-- orders that a person has to look at. Everything is added: a service of the version before goes on working.

-- Every sale waits while this step waits for locks: for a second at most.
SET LOCAL lock_timeout = '1s';

ALTER TABLE orders
    -- Of what was paid by card, what disputes that were lost have taken.
    ADD COLUMN amount_lost numeric(19,4) NOT NULL DEFAULT 0,
    -- Why a person has to look at the order; NULL when nobody has to, so that a purchase writes nothing.
    ADD COLUMN attention   text[],
    ADD CONSTRAINT orders_lost_within_paid CHECK (amount_lost BETWEEN 0 AND amount_settled - amount_credited),
    ADD CONSTRAINT orders_attention_known CHECK (
        cardinality(attention) > 0
        AND attention <@ ARRAY['payment_mismatched', 'refund_failed', 'dispute_open', 'dispute_lost']);
GRANT UPDATE (amount_lost, attention) ON orders TO tradeline_service;
CREATE INDEX orders_attention_idx ON orders (business_id, id) WHERE attention IS NOT NULL;

ALTER TABLE payment_intents
    -- The provider's code of a refusal.
    ADD COLUMN failure_code      text,
    -- What came of a payment that is not what was asked for, in minor units of its own currency.
    ADD COLUMN received_minor    bigint,
    ADD COLUMN received_currency text,
    -- What of that was given back at the provider.
    ADD COLUMN returned_minor    bigint  NOT NULL DEFAULT 0,
    -- How often the provider's refunds and disputes were read and written here. A reading that began before another was
    -- written is out of date.
    ADD COLUMN readings          integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT payment_intents_received_whole CHECK ((received_minor IS NULL) = (received_currency IS NULL)),
    ADD CONSTRAINT payment_intents_returned_not_negative CHECK (returned_minor >= 0),
    ADD CONSTRAINT payment_intents_readings_not_negative CHECK (readings >= 0);
GRANT UPDATE (failure_code, received_minor, received_currency, returned_minor, readings)
    ON payment_intents TO tradeline_service;

-- Payments that their buyers dispute, as the provider has them. Changed under the order's lock.
CREATE TABLE disputes (
    business_id     uuid          NOT NULL,
    id              uuid          NOT NULL,
    order_id        uuid          NOT NULL,
    provider        text          NOT NULL,
    -- The provider's id of it.
    provider_id     text          NOT NULL,
    amount          numeric(19,4) NOT NULL,
    -- The provider's word for it.
    reason          text          NOT NULL,
    status          text          NOT NULL,
    -- Until when the provider takes evidence; NULL when it takes none.
    evidence_due_at timestamptz,
    -- Whether the provider has taken the money back for now.
    funds_withdrawn boolean       NOT NULL,
    created_at      timestamptz   NOT NULL DEFAULT now(),
    updated_at      timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT disputes_pkey PRIMARY KEY (business_id, id),
    CONSTRAINT disputes_provider_key UNIQUE (business_id, provider, provider_id),
    CONSTRAINT disputes_intent_fkey FOREIGN KEY (business_id, order_id)
        REFERENCES payment_intents (business_id, order_id),
    CONSTRAINT disputes_amount_not_negative CHECK (amount >= 0),
    CONSTRAINT disputes_reason_length CHECK (char_length(reason) BETWEEN 1 AND 300),
    CONSTRAINT disputes_status_known CHECK (status IN ('needs_response', 'under_review', 'won', 'lost', 'closed'))
);
CREATE INDEX disputes_order_idx ON disputes (business_id, order_id);
ALTER TABLE disputes ENABLE ROW LEVEL SECURITY;
ALTER TABLE disputes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON disputes
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);
GRANT SELECT, INSERT ON disputes TO tradeline_service;
GRANT UPDATE (amount, reason, status, evidence_due_at, funds_withdrawn, updated_at) ON disputes TO tradeline_service;

-- What a person has to look at already. Payments of another amount end by their time from now on: they are due at once.
ALTER TABLE orders          NO FORCE ROW LEVEL SECURITY;
ALTER TABLE payment_intents NO FORCE ROW LEVEL SECURITY;
ALTER TABLE refunds         NO FORCE ROW LEVEL SECURITY;
UPDATE payment_intents
   SET received_minor = (regexp_match(failure, '^received (\d{1,18}) in minor units of [A-Z]{3,}$'))[1]::bigint,
       received_currency = (regexp_match(failure, '^received \d{1,18} in minor units of ([A-Z]{3,})$'))[1]
 WHERE status = 'mismatched';
UPDATE payment_intents SET next_try_at = greatest(expires_at, now())
  FROM orders
 WHERE (orders.business_id, orders.id) = (payment_intents.business_id, payment_intents.order_id)
   AND payment_intents.status = 'mismatched' AND orders.status IN ('created', 'payment_pending');
UPDATE orders SET attention = reasons.are
  FROM (SELECT i.business_id, i.order_id,
               array_remove(ARRAY[
                   CASE WHEN i.status = 'mismatched' AND (i.received_minor IS NULL OR i.received_minor > 0)
                        THEN 'payment_mismatched' END,
                   CASE WHEN o.amount_refunded < o.amount_settled - o.amount_credited
                             AND EXISTS (SELECT FROM refunds f
                                          WHERE (f.business_id, f.order_id) = (i.business_id, i.order_id)
                                            AND f.status = 'failed' AND NOT f.by_hand
                                            AND NOT EXISTS (SELECT FROM refunds l
                                                             WHERE (l.business_id, l.order_id) = (f.business_id, f.order_id)
                                                               AND l.status <> 'failed'
                                                               AND l.created_at > f.updated_at))
                        THEN 'refund_failed' END], NULL) AS are
          FROM payment_intents i JOIN orders o ON (o.business_id, o.id) = (i.business_id, i.order_id)
       ) AS reasons
 WHERE (orders.business_id, orders.id) = (reasons.business_id, reasons.order_id) AND cardinality(reasons.are) > 0;
ALTER TABLE orders          FORCE ROW LEVEL SECURITY;
ALTER TABLE payment_intents FORCE ROW LEVEL SECURITY;
ALTER TABLE refunds         FORCE ROW LEVEL SECURITY;
