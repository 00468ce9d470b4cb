-- Figures for the reports on sales and stock. The service keeps them in the background, up to an hour ago; a sale writes
-- nothing here.
--
-- The index below is built while no order is cancelled or paid by card. A sale on credit writes no transition.
SET LOCAL lock_timeout = '1s';

-- What a business sold on a day or in a month of its time zone: in total, of a product, or to a customer. `subject` is the
-- product or the customer, and nil in the total. A cancellation counts in full on its own day, and `credited` is what
-- credit notes took back beyond it, which may be negative.
CREATE TABLE sales_figures (
    business_id      uuid          NOT NULL,
    kind             text          NOT NULL,
    span             text          NOT NULL,
    starts_on        date          NOT NULL,
    subject          uuid          NOT NULL,
    orders           bigint        NOT NULL,
    units            bigint        NOT NULL,
    revenue          numeric(19,4) NOT NULL,
    cancelled_orders bigint        NOT NULL,
    cancelled_units  bigint        NOT NULL,
    cancelled        numeric(19,4) NOT NULL,
    credited         numeric(19,4) NOT NULL,
    -- The stock report adds up the included columns of all products, without reading the rows.
    CONSTRAINT sales_figures_pkey PRIMARY KEY (business_id, kind, span, starts_on, subject)
        INCLUDE (units, cancelled_units),
    CONSTRAINT sales_figures_business_fkey FOREIGN KEY (business_id) REFERENCES businesses (id),
    CONSTRAINT sales_figures_kind_known CHECK (kind IN ('total', 'product', 'customer')),
    CONSTRAINT sales_figures_span_known CHECK (span IN ('day', 'month'))
);

-- The moment up to which a business's figures are kept, exclusive, and the time zone of their days. With another time zone
-- the figures are of no use, and are made again.
CREATE TABLE sales_figures_state (
    business_id uuid        NOT NULL,
    time_zone   text        NOT NULL,
    kept_until  timestamptz NOT NULL,
    CONSTRAINT sales_figures_state_pkey PRIMARY KEY (business_id),
    CONSTRAINT sales_figures_state_business_fkey FOREIGN KEY (business_id) REFERENCES businesses (id)
);

ALTER TABLE sales_figures       ENABLE ROW LEVEL SECURITY;
ALTER TABLE sales_figures       FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sales_figures
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);
ALTER TABLE sales_figures_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE sales_figures_state FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sales_figures_state
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT, DELETE ON sales_figures TO tradeline_service;
GRANT UPDATE (orders, units, revenue, cancelled_orders, cancelled_units, cancelled, credited)
    ON sales_figures TO tradeline_service;
GRANT SELECT, INSERT ON sales_figures_state TO tradeline_service;
GRANT UPDATE (time_zone, kept_until) ON sales_figures_state TO tradeline_service;

-- The orders that were paid by card or cancelled in a span of time.
CREATE INDEX order_transitions_sales_idx ON order_transitions (business_id, created_at)
    INCLUDE (order_id, from_status, to_status) WHERE to_status IN ('paid', 'cancelled');
