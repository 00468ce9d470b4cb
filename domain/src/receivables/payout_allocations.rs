//! Payout allocations: which credits cover which payouts.

use entity::{BusinessId, CustomerId};
use sea_orm::{DbBackend, FromQueryResult, Statement, Value};

use crate::receivables::settlement::Covering;
use crate::{Error, Transaction};

const COVERING: &str = "
SELECT a.payout_entry, a.credit_entry, e.kind, sum(a.amount) AS amount
  FROM payout_allocations a
  JOIN ledger_entries e ON (e.business_id, e.customer_id, e.number) = (a.business_id, a.customer_id, a.credit_entry)
 WHERE a.business_id = $1 AND a.customer_id = $2 AND (a.payout_entry = ANY ($3) OR a.credit_entry = ANY ($4))
 GROUP BY a.payout_entry, a.credit_entry, e.kind
HAVING sum(a.amount) <> 0
 ORDER BY a.payout_entry, a.credit_entry";

/// Reads what covers these payouts of a locked account, and what these credits of it cover.
pub(crate) async fn covering(
    transaction: &Transaction,
    business: BusinessId,
    customer: CustomerId,
    payouts: Vec<i64>,
    credits: Vec<i64>,
) -> Result<Vec<Covering>, Error> {
    let values: [Value; 4] = [
        business.0.into(),
        customer.0.into(),
        payouts.into(),
        credits.into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, COVERING, values);
    Ok(Covering::find_by_statement(statement)
        .all(transaction)
        .await?)
}
