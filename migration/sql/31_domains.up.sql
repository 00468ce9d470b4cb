-- A purchase pays for every CHECK of a table that it writes, since PostgreSQL reads the text of the table's checks again
-- in each statement: a quarter of the work of a purchase of its own. The checks of a domain are read once per session,
-- and only where a statement writes the column. Rules about one column are therefore domains; rules about several stay
-- checks of the table.
--
-- No table is rewritten: a column gets the domain while it has no rule yet. Each rule then reads the tables that have
-- the domain once, and the indexes with a condition on a column are built again (some 2 s for a million orders).
SET LOCAL lock_timeout = '1s';

CREATE DOMAIN short_text AS text;
CREATE DOMAIN name_text AS text;
CREATE DOMAIN note_text AS text;
CREATE DOMAIN phone_text AS text;
CREATE DOMAIN vat_number_text AS text;
CREATE DOMAIN key_text AS text;
CREATE DOMAIN json_object AS jsonb;
CREATE DOMAIN json_list AS jsonb;
CREATE DOMAIN sha256_hash AS bytea;
CREATE DOMAIN amount_not_negative AS numeric(19,4);
CREATE DOMAIN count_not_negative AS bigint;
CREATE DOMAIN count_positive AS bigint;
CREATE DOMAIN payment_terms AS int;
CREATE DOMAIN order_status AS text;
CREATE DOMAIN cancel_reason AS text;
CREATE DOMAIN order_attention AS text[];
CREATE DOMAIN ledger_kind AS text;

ALTER TABLE orders
    DROP CONSTRAINT orders_status_known,
    DROP CONSTRAINT orders_cancel_reason_known,
    DROP CONSTRAINT orders_tracking_reference_length,
    DROP CONSTRAINT orders_attention_known,
    DROP CONSTRAINT orders_reference_length,
    DROP CONSTRAINT orders_note_length,
    DROP CONSTRAINT orders_delivery_address_object,
    DROP CONSTRAINT orders_metadata_object,
    -- Others say as much: 0 <= amount_settled <= total_amount, and 0 <= amount_lost <= amount_settled - amount_credited.
    DROP CONSTRAINT orders_total_not_negative,
    DROP CONSTRAINT orders_credited_within_settled,
    DROP CONSTRAINT orders_lost_within_paid,
    DROP CONSTRAINT orders_refunded_within_paid,
    ALTER COLUMN status TYPE order_status,
    ALTER COLUMN amount_credited TYPE amount_not_negative,
    ALTER COLUMN amount_lost TYPE amount_not_negative,
    ALTER COLUMN amount_refunded TYPE amount_not_negative,
    ALTER COLUMN cancel_reason TYPE cancel_reason,
    ALTER COLUMN tracking_reference TYPE name_text,
    ALTER COLUMN attention TYPE order_attention,
    ALTER COLUMN reference TYPE short_text,
    ALTER COLUMN note TYPE note_text,
    ALTER COLUMN delivery_address TYPE json_object,
    ALTER COLUMN metadata TYPE json_object,
    ADD CONSTRAINT orders_lost_within_paid CHECK (amount_lost <= amount_settled - amount_credited),
    ADD CONSTRAINT orders_refunded_within_paid CHECK (amount_refunded <= amount_settled - amount_credited);

ALTER TABLE order_items
    DROP CONSTRAINT order_items_quantity_positive,
    DROP CONSTRAINT order_items_on_hand_after_not_negative,
    ALTER COLUMN quantity TYPE count_positive,
    ALTER COLUMN on_hand_after TYPE count_not_negative;

ALTER TABLE ledger_entries
    DROP CONSTRAINT ledger_entries_kind_known,
    ALTER COLUMN kind TYPE ledger_kind;

ALTER TABLE idempotency_keys
    DROP CONSTRAINT idempotency_keys_key_length,
    DROP CONSTRAINT idempotency_keys_hash_length,
    ALTER COLUMN key TYPE key_text,
    ALTER COLUMN request_hash TYPE sha256_hash;

ALTER TABLE customers
    DROP CONSTRAINT customers_name_length,
    DROP CONSTRAINT customers_credit_limit_not_negative,
    DROP CONSTRAINT customers_on_account_not_negative,
    DROP CONSTRAINT customers_payment_terms_range,
    DROP CONSTRAINT customers_reference_length,
    DROP CONSTRAINT customers_contact_length,
    DROP CONSTRAINT customers_phone_length,
    DROP CONSTRAINT customers_vat_number_length,
    DROP CONSTRAINT customers_addresses_list,
    DROP CONSTRAINT customers_metadata_object,
    ALTER COLUMN name TYPE name_text,
    ALTER COLUMN credit_limit TYPE amount_not_negative,
    ALTER COLUMN on_account TYPE amount_not_negative,
    ALTER COLUMN payment_terms_days TYPE payment_terms,
    ALTER COLUMN reference TYPE short_text,
    ALTER COLUMN contact TYPE name_text,
    ALTER COLUMN phone TYPE phone_text,
    ALTER COLUMN vat_number TYPE vat_number_text,
    ALTER COLUMN addresses TYPE json_list,
    ALTER COLUMN metadata TYPE json_object;

-- inventory_reserved_within_on_hand says with them that no count on hand is negative.
ALTER TABLE inventory
    DROP CONSTRAINT inventory_on_hand_not_negative,
    DROP CONSTRAINT inventory_reserved_not_negative,
    DROP CONSTRAINT inventory_waiting_not_negative,
    ALTER COLUMN on_hand TYPE count_not_negative,
    ALTER COLUMN reserved TYPE count_not_negative,
    ALTER COLUMN waiting TYPE count_not_negative;

ALTER DOMAIN short_text ADD CONSTRAINT short_text_length CHECK (char_length(VALUE) BETWEEN 1 AND 100);
ALTER DOMAIN name_text ADD CONSTRAINT name_text_length CHECK (char_length(VALUE) BETWEEN 1 AND 200);
ALTER DOMAIN note_text ADD CONSTRAINT note_text_length CHECK (char_length(VALUE) BETWEEN 1 AND 2000);
ALTER DOMAIN phone_text ADD CONSTRAINT phone_text_length CHECK (char_length(VALUE) BETWEEN 1 AND 30);
ALTER DOMAIN vat_number_text ADD CONSTRAINT vat_number_text_length CHECK (char_length(VALUE) BETWEEN 1 AND 20);
ALTER DOMAIN key_text ADD CONSTRAINT key_text_length CHECK (char_length(VALUE) BETWEEN 1 AND 255);
ALTER DOMAIN json_object ADD CONSTRAINT json_object_is_object CHECK (jsonb_typeof(VALUE) = 'object');
ALTER DOMAIN json_list ADD CONSTRAINT json_list_is_list CHECK (jsonb_typeof(VALUE) = 'array');
ALTER DOMAIN sha256_hash ADD CONSTRAINT sha256_hash_length CHECK (octet_length(VALUE) = 32);
ALTER DOMAIN amount_not_negative ADD CONSTRAINT amount_not_negative_range CHECK (VALUE >= 0);
ALTER DOMAIN count_not_negative ADD CONSTRAINT count_not_negative_range CHECK (VALUE >= 0);
ALTER DOMAIN count_positive ADD CONSTRAINT count_positive_range CHECK (VALUE > 0);
ALTER DOMAIN payment_terms ADD CONSTRAINT payment_terms_range CHECK (VALUE BETWEEN 0 AND 365);
ALTER DOMAIN order_status ADD CONSTRAINT order_status_known CHECK (
    VALUE IN ('created', 'payment_pending', 'approved', 'paid', 'fulfilled', 'cancelled')
);
ALTER DOMAIN cancel_reason ADD CONSTRAINT cancel_reason_known CHECK (
    VALUE IN ('requested', 'payment_expired', 'payment_refused', 'payment_cancelled', 'stock_gone', 'paid_too_late')
);
ALTER DOMAIN order_attention ADD CONSTRAINT order_attention_known CHECK (
    cardinality(VALUE) > 0
    AND VALUE <@ ARRAY ['payment_mismatched', 'refund_failed', 'dispute_open', 'dispute_lost']
);
ALTER DOMAIN ledger_kind ADD CONSTRAINT ledger_kind_known CHECK (
    VALUE IN ('charge', 'payment', 'reversal', 'credit_note', 'write_off', 'payout')
);
