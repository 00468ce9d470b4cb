//! Deletes expired rows in small transactions, so that no transaction holds many locks for long.

use entity::{BusinessId, Tenant};
use sea_orm::QueryFilter;
use sea_orm::sea_query::{Expr, SelectStatement};

use crate::{Database, Error};

/// The most rows that one transaction deletes.
const MAX_ROWS_PER_TRANSACTION: u64 = 1000;

/// Deletes the rows of a business's table that `which` selects. Returns their number. `which` must select `ctid`
/// within the business.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub(crate) async fn delete<E: Tenant>(
    database: &Database,
    business: BusinessId,
    which: SelectStatement,
) -> Result<u64, Error> {
    let which = which.to_owned().limit(MAX_ROWS_PER_TRANSACTION).to_owned();
    // An array instead of a subquery: PostgreSQL then reads the rows directly by their `ctid`.
    let places = Expr::cust_with_expr("ctid = ANY (ARRAY $1)", which);
    let mut all = 0;
    loop {
        let transaction = database.begin(business).await?;
        let deleted = E::delete_of(business)
            .filter(places.clone())
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        all += deleted.rows_affected;
        if deleted.rows_affected < MAX_ROWS_PER_TRANSACTION {
            return Ok(all);
        }
    }
}
