//! Deleting what is over, some rows at a time, so that no transaction holds many locks for long.

use entity::{BusinessId, Tenant};
use sea_orm::sea_query::Expr;
use sea_orm::{QueryFilter, Value};

use crate::{Database, Error};

/// How many rows one transaction deletes.
const ROWS: u64 = 1000;

/// Deletes the rows of a business's table whose places `which` selects, and says how many there were. `which` is a
/// SELECT of `ctid`, with the business as `$1` and the most rows that it may find as `$2`.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub(crate) async fn delete<E: Tenant>(
    database: &Database,
    business: BusinessId,
    which: &str,
) -> Result<u64, Error> {
    let places = format!("ctid = ANY (ARRAY({which}))");
    let mut all = 0;
    loop {
        let transaction = database.begin(business).await?;
        let over =
            Expr::cust_with_values(places.clone(), [Value::from(business), Value::from(ROWS)]);
        let deleted = E::delete_of(business)
            .filter(over)
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        all += deleted.rows_affected;
        if deleted.rows_affected < ROWS {
            return Ok(all);
        }
    }
}
