//! The hold limits of a batch's customers, and what they hold outside the locked stock.
//!
//! Costs one statement, in batches that reserve or order by card, and none in others. It is read under the customers'
//! locks, which every new hold requires.

use entity::{BusinessId, CustomerId, Money};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::command::{Command, Work, distinct};
use super::decision::{BatchState, Holds};
use crate::{Error, Transaction};

/// A customer who registered themselves gets the stricter of the two limits of the business. Reservations that the
/// locked stock already knows (`$4`) are left out.
///
/// Raw: a lateral sum over a union of reservations and unpaid card orders.
const HOLDS: &str = "
SELECT c.id AS customer_id,
       CASE WHEN c.self_registered THEN least(b.hold_limit_units, b.self_registered_hold_limit_units)
            ELSE b.hold_limit_units END AS max_units,
       CASE WHEN c.self_registered THEN least(b.hold_limit_value, b.self_registered_hold_limit_value)
            ELSE b.hold_limit_value END AS max_value,
       held.units, held.value
  FROM customers c
  JOIN businesses b ON b.id = c.business_id
 CROSS JOIN LATERAL (
        SELECT coalesce(sum(i.quantity), 0)::bigint AS units, coalesce(sum(i.quantity * i.unit_price), 0) AS value
          FROM (SELECT r.id
                  FROM reservations r
                 WHERE r.business_id = $1 AND r.customer_id = c.id AND r.status IN ('waiting', 'active')
                 UNION ALL
                SELECT p.reservation_id
                  FROM orders o
                  JOIN payment_intents p ON p.business_id = $1 AND p.order_id = o.id
                 WHERE o.business_id = $1 AND o.customer_id = c.id
                   AND o.payment_method = 'card' AND o.status IN ('created', 'payment_pending')) AS open
          JOIN reservation_items i ON i.business_id = $1 AND i.reservation_id = open.id
         WHERE (i.held OR i.place IS NOT NULL) AND i.expires_at > $3 AND open.id <> ALL ($4)) AS held
 WHERE c.business_id = $1 AND c.id = ANY ($2)";

#[derive(FromQueryResult)]
struct Row {
    customer_id: CustomerId,
    max_units: Option<i64>,
    max_value: Option<Money>,
    units: i64,
    value: Money,
}

/// Reads the limits and holds of the customers who are about to hold something.
pub(super) async fn read(
    transaction: &Transaction,
    business: BusinessId,
    state: &mut BatchState,
    commands: &[Command],
) -> Result<(), Error> {
    let holders = commands.iter().filter_map(|command| match &command.work {
        Work::Reserve(..) | Work::Checkout(..) => Some(command.customer().0),
        Work::Purchase(..) | Work::Confirm(..) | Work::ConfirmByCard(..) | Work::Cancel(..) => None,
    });
    let holders: Vec<Uuid> = distinct(holders);
    if holders.is_empty() {
        return Ok(());
    }
    let known: Vec<Uuid> = state
        .locked_stock
        .reservations
        .keys()
        .map(|id| id.0)
        .collect();
    let values: [Value; 4] = [
        business.0.into(),
        holders.into(),
        state.locked_stock.now.into(),
        known.into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, HOLDS, values);
    for row in transaction.query_all_raw(statement).await? {
        let row = Row::from_query_result(&row, "")?;
        if let Some(buyer) = state.buyers.get_mut(&row.customer_id) {
            buyer.holds = Holds {
                max_units: row.max_units,
                max_value: row.max_value,
                units: row.units,
                value: row.value,
            };
        }
    }
    Ok(())
}
