//! Credit notes and write-offs of an order. Their sum never exceeds the order's total, so a cancellation never reverses
//! a negative amount.

use entity::ledger_entries::Kind;
use entity::orders::Status;
use entity::{BusinessId, Money, OrderId, orders};
use sea_orm::{DbBackend, FromQueryResult, Statement, Value};

use crate::{Error, Transaction};

/// A credit note or write-off that is not reversed.
#[derive(Debug, Clone, Copy, FromQueryResult)]
pub(crate) struct Credited {
    pub(crate) entry_number: i64,
    pub(crate) kind: Kind,
    pub(crate) amount: Money,
}

/// Raw: a union of two tables under one anti-join, twice as long in SeaORM's builder.
const CREDITED: &str = "
SELECT entry_number, kind, amount
  FROM (SELECT business_id, customer_id, entry_number, 'credit_note' AS kind, amount
          FROM credit_notes WHERE business_id = $1 AND order_id = $2
         UNION ALL
        SELECT business_id, customer_id, entry_number, 'write_off', amount
          FROM write_offs WHERE business_id = $1 AND order_id = $2) AS credit
 WHERE NOT EXISTS (SELECT FROM reversals r
                    WHERE r.business_id = credit.business_id AND r.customer_id = credit.customer_id
                      AND r.reverses = credit.entry_number)
 ORDER BY entry_number";

/// Reads the credits of an order whose customer is locked.
pub(crate) async fn of(
    transaction: &Transaction,
    business: BusinessId,
    order: OrderId,
) -> Result<Vec<Credited>, Error> {
    let values: [Value; 2] = [business.0.into(), order.0.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, CREDITED, values);
    let credits = Credited::find_by_statement(statement);
    Ok(credits.all(transaction).await?)
}

/// The creditable amount of the order: 0 once it is cancelled.
pub(crate) fn left(order: &orders::Model, credited: &[Credited]) -> Money {
    creditable(order, credited.iter().map(|credit| credit.amount).sum())
}

/// The creditable amount of an order of which this much was credited before.
#[must_use]
pub fn creditable(order: &orders::Model, before: Money) -> Money {
    match order.status {
        Status::Cancelled => Money::ZERO,
        _ => order.total_amount - before,
    }
}

/// Checks that this amount can still be credited of the order.
pub(crate) fn check(
    order: &orders::Model,
    credited: &[Credited],
    amount: Money,
) -> Result<(), Error> {
    if order.status == Status::Cancelled {
        return Err(Error::OrderCancelled(order.id));
    }
    let creditable = left(order, credited);
    if amount > creditable {
        return Err(Error::MoreThanCharged { creditable });
    }
    Ok(())
}
