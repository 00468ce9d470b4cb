//! The events that changed the sales of a business in a span of time: the one definition of its figures.
//!
//! | event | day | counts |
//! | --- | --- | --- |
//! | a sale on credit | of the order | order, units, revenue |
//! | a sale by card | of the payment | order, units, revenue |
//! | a cancellation of either | of the cancellation | the whole order as cancelled |
//! | a credit note | of the note | credited |
//! | its reversal | of the reversal | credited, negative |
//! | the cancellation of an order with credit notes | of the cancellation | their amount as credited, negative |
//!
//! Opening items are no sales of the business's time here. A credit note of one counts as any other.
//!
//! None of these ever changes: the rows are append-only. Refunds by card may fail later, so they are never kept
//! ([`REFUNDS`]).

use chrono::{DateTime, TimeDelta, Utc};
use entity::BusinessId;
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use crate::{Error, Transaction};

/// The difference between the clocks of the database, which dates rows, and of the processes, which make ids, that the
/// reports tolerate.
const CLOCK_DIFFERENCE: TimeDelta = TimeDelta::hours(1);

/// The subject of the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All sales.
    Total,
    /// Each product.
    Product,
    /// Each customer.
    Customer,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Total, Self::Product, Self::Customer];

    /// The value in the column `kind`.
    pub(crate) fn value(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Product => "product",
            Self::Customer => "customer",
        }
    }
}

/// The sums of all columns of figures.
pub(crate) const SUMS: &str = "
    coalesce(sum(orders), 0)::bigint AS orders, coalesce(sum(units), 0)::bigint AS units,
    coalesce(sum(revenue), 0) AS revenue, coalesce(sum(cancelled_orders), 0)::bigint AS cancelled_orders,
    coalesce(sum(cancelled_units), 0)::bigint AS cancelled_units, coalesce(sum(cancelled), 0) AS cancelled,
    coalesce(sum(credited), 0) AS credited";

/// The columns of figures.
pub(crate) const COLUMNS: &str =
    "orders, units, revenue, cancelled_orders, cancelled_units, cancelled, credited";

/// The orders that were sold, and those that were cancelled, in a span: `$2` to `$3`, exclusive. `$4` and `$5` bound the
/// ids of orders that were made in it, so that the primary key finds them.
const ORDERS: &str = "
sold AS (
    SELECT id, customer_id, total_amount, created_at AS at FROM orders
     WHERE business_id = $1 AND id >= $4 AND id < $5 AND created_at >= $2 AND created_at < $3
       AND payment_method = 'credit'
       AND NOT EXISTS (SELECT FROM opening_items i
                        WHERE i.business_id = $1 AND i.order_id >= $4 AND i.order_id < $5 AND i.order_id = orders.id)
    UNION ALL
    SELECT o.id, o.customer_id, o.total_amount, t.created_at
      FROM order_transitions t JOIN orders o ON (o.business_id, o.id) = (t.business_id, t.order_id)
     WHERE t.business_id = $1 AND t.to_status = 'paid' AND t.created_at >= $2 AND t.created_at < $3
), undone AS (
    SELECT o.id, o.customer_id, o.total_amount, t.created_at AS at
      FROM order_transitions t JOIN orders o ON (o.business_id, o.id) = (t.business_id, t.order_id)
     WHERE t.business_id = $1 AND t.to_status = 'cancelled' AND t.from_status IN ('approved', 'paid')
       AND t.created_at >= $2 AND t.created_at < $3
)";

const BY_PRODUCT: &str = "
    SELECT i.product_id AS subject, sold.at, 1 AS orders, i.quantity AS units, i.line_total AS revenue,
           0 AS cancelled_orders, 0::bigint AS cancelled_units, 0::numeric AS cancelled, 0::numeric AS credited
      FROM sold JOIN order_items i ON i.business_id = $1 AND i.order_id = sold.id
    UNION ALL
    SELECT i.product_id, undone.at, 0, 0, 0, 1, i.quantity, i.line_total, 0
      FROM undone JOIN order_items i ON i.business_id = $1 AND i.order_id = undone.id";

/// `{subject}` is the customer, or nil. Notes of a cancelled order are neither made nor reversed, so those that are not
/// reversed now were not at its cancellation.
const BY_ORDER: &str = "
    SELECT {sold} AS subject, sold.at, 1 AS orders, lines.units, sold.total_amount AS revenue,
           0 AS cancelled_orders, 0::bigint AS cancelled_units, 0::numeric AS cancelled, 0::numeric AS credited
      FROM sold, LATERAL (SELECT sum(quantity)::bigint AS units FROM order_items
                           WHERE business_id = $1 AND order_id = sold.id) AS lines
    UNION ALL
    SELECT {undone}, undone.at, 0, 0, 0, 1, lines.units, undone.total_amount, -notes.amount
      FROM undone, LATERAL (SELECT sum(quantity)::bigint AS units FROM order_items
                             WHERE business_id = $1 AND order_id = undone.id) AS lines,
           LATERAL (SELECT coalesce(sum(n.amount), 0) AS amount FROM credit_notes n
                     WHERE n.business_id = $1 AND n.order_id = undone.id
                       AND NOT EXISTS (SELECT FROM reversals r
                                        WHERE r.business_id = $1 AND r.customer_id = n.customer_id
                                          AND r.reverses = n.entry_number)) AS notes
    UNION ALL
    SELECT {entry}, e.effective_at, 0, 0, 0, 0, 0, 0, -e.amount FROM ledger_entries e
     WHERE e.business_id = $1 AND e.kind <> 'charge' AND e.kind = 'credit_note'
       AND e.effective_at >= $2 AND e.effective_at < $3
    UNION ALL
    SELECT {entry}, e.effective_at, 0, 0, 0, 0, 0, 0, -e.amount
      FROM ledger_entries e
      JOIN reversals r ON (r.business_id, r.customer_id, r.entry_number) = (e.business_id, e.customer_id, e.number)
      JOIN credit_notes n ON (n.business_id, n.customer_id, n.entry_number) = (r.business_id, r.customer_id, r.reverses)
     WHERE e.business_id = $1 AND e.kind <> 'charge' AND e.kind = 'reversal'
       AND e.effective_at >= $2 AND e.effective_at < $3";

/// The common table expressions `sold`, `undone` and `event`, without `WITH`. An event has a `subject`, a time `at` and
/// the columns of figures. Its parameters are `$1` to `$5`: see [`values`].
pub(crate) fn events(kind: Kind) -> String {
    let nil = "'00000000-0000-0000-0000-000000000000'::uuid";
    let [sold, undone, entry] = match kind {
        Kind::Customer => ["sold.customer_id", "undone.customer_id", "e.customer_id"],
        Kind::Total | Kind::Product => [nil; 3],
    };
    let by_order = BY_ORDER.replace("{sold}", sold);
    let by_order = by_order
        .replace("{undone}", undone)
        .replace("{entry}", entry);
    let events = match kind {
        Kind::Product => BY_PRODUCT,
        Kind::Total | Kind::Customer => &by_order,
    };
    format!("{ORDERS}, event AS ({events}\n)")
}

/// Refunds by card in a span as common table expression `refund`: `subject`, `at` and `credited`. `$6` has the start and
/// the end of the span, `$7` the bounds of the ids. A refund that failed, whose order was never paid for in full, or whose
/// order is cancelled does not count: the cancellation has taken the whole order back.
const REFUNDS: &str = "
refund AS (
    SELECT {subject} AS subject, f.created_at AS at, f.amount AS credited
      FROM refunds f JOIN orders o ON (o.business_id, o.id) = (f.business_id, f.order_id)
     WHERE f.business_id = $1 AND f.id >= ($7::uuid[])[1] AND f.id < ($7::uuid[])[2]
       AND f.created_at >= ($6::timestamptz[])[1] AND f.created_at < ($6::timestamptz[])[2]
       AND f.status <> 'failed' AND o.status <> 'cancelled'
       AND EXISTS (SELECT FROM order_transitions t
                    WHERE (t.business_id, t.order_id) = (f.business_id, f.order_id) AND t.to_status = 'paid')
)";

/// The common table expression `refund`, without `WITH`. Its parameters are `$6` and `$7`. Products have none: a refund
/// may be of an amount.
pub(crate) fn refunds(kind: Kind) -> String {
    match kind {
        Kind::Total => REFUNDS.replace("{subject}", "'00000000-0000-0000-0000-000000000000'::uuid"),
        Kind::Customer => REFUNDS.replace("{subject}", "o.customer_id"),
        // Without rows, and with the parameters, which must have types.
        Kind::Product => "
refund AS (
    SELECT ($7::uuid[])[1] AS subject, ($6::timestamptz[])[1] AS at, 0::numeric AS credited WHERE false
)"
        .to_owned(),
    }
}

/// The first order from `$2` on, whose id is at least `$3`, and the first transition or entry: a row each. They need not
/// count in a figure, so that each is the first row of an index.
///
/// Raw: three subqueries without a table.
const NEXT: &str = "
SELECT (SELECT created_at FROM orders
         WHERE business_id = $1 AND id >= $3 AND created_at >= $2 ORDER BY id LIMIT 1) AS order_at,
       least((SELECT min(created_at) FROM order_transitions
               WHERE business_id = $1 AND to_status IN ('paid', 'cancelled') AND created_at >= $2),
             (SELECT min(effective_at) FROM ledger_entries
               WHERE business_id = $1 AND kind <> 'charge' AND effective_at >= $2)) AS change_at";

/// A time, at or after `from`, before which nothing happens from `from` on. `None` if nothing happened yet.
pub(super) async fn next_event_at_earliest(
    transaction: &Transaction,
    business: BusinessId,
    from: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, Error> {
    let values: [Value; 3] = [
        business.0.into(),
        from.into(),
        first_id(from - CLOCK_DIFFERENCE).into(),
    ];
    let sql = Statement::from_sql_and_values(DbBackend::Postgres, NEXT, values);
    let row = transaction.query_one_raw(sql).await?;
    let row = row.ok_or_else(|| Error::Bug("the next events returned nothing".into()))?;
    // The first by id is not always the oldest: the time of an id and of its order may differ.
    let order_at: Option<DateTime<Utc>> = row.try_get("", "order_at")?;
    let order_at = order_at.map(|at| at - CLOCK_DIFFERENCE * 2);
    let change_at: Option<DateTime<Utc>> = row.try_get("", "change_at")?;
    let first = [order_at, change_at].into_iter().flatten().min();
    Ok(first.map(|at| at.max(from)))
}

/// The parameters of a span: its start and end, and the bounds of the ids that were made in it.
pub(crate) fn values(from: DateTime<Utc>, until: DateTime<Utc>) -> [Value; 4] {
    [
        from.into(),
        until.into(),
        first_id(from - CLOCK_DIFFERENCE).into(),
        first_id(until + CLOCK_DIFFERENCE).into(),
    ]
}

/// The parameters of a span as two arrays: its start and end, and the bounds of the ids that were made in it.
pub(crate) fn arrays(from: DateTime<Utc>, until: DateTime<Utc>) -> [Value; 2] {
    let ids = [
        first_id(from - CLOCK_DIFFERENCE),
        first_id(until + CLOCK_DIFFERENCE),
    ];
    [vec![from, until].into(), ids.to_vec().into()]
}

/// An id that is not greater than any of version 7 that is made at this moment or later.
fn first_id(moment: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(moment.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_in_a_span_are_between_its_bounds() {
        let now = Utc::now();
        let id = entity::OrderId::new().0;
        assert!(first_id(now - TimeDelta::seconds(1)) < id);
        assert!(id < first_id(now + TimeDelta::seconds(60)));
        assert_eq!(
            first_id(DateTime::UNIX_EPOCH - TimeDelta::days(1)),
            Uuid::nil()
        );
    }
}
