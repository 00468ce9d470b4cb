//! Giving restored entries of the audit trail numbers below all that this server has given or will give.
//!
//! An entry has the number of the transaction that made it, and an entry that this server has made was written by that
//! very transaction. So an entry whose number is higher than that of the transaction that wrote its row was restored from
//! another server. Everything up to the restore, in the numbers of either server, is older than what this server has made
//! since, and keeps its order. The hash of no seal depends on the numbers.
//!
//! Locks: both tables against writing, until the commit; reading goes on. Cost: three statements a business with restored
//! entries, one a business without.

use std::time::Duration;

use entity::BusinessId;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};

use super::number_of_writer;
use crate::foundation::tenants;
use crate::{Database, Error, Transaction};

/// The longest that a statement may take, and the longest wait for those who are writing.
const SETTINGS: [&str; 2] = ["statement_timeout = '1h'", "lock_timeout = '30s'"];

/// The longest wait for an answer: longer than a statement may take.
const PATIENCE: Duration = Duration::from_secs(3610);

/// What a renumbering has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Renumbered {
    /// Businesses with restored entries.
    pub businesses: u64,
    /// Entries that have another number now.
    pub entries: u64,
    /// Seals that name another number now.
    pub seals: u64,
}

/// Lowers the numbers of all restored entries, in one transaction. May be called at any time, also while services write: what
/// they have written since the restore stays where it is. Where nothing is to be renumbered nothing is changed.
///
/// # Errors
/// [`Error::Forbidden`] when the role may not change the trail; [`Error::Contention`] when somebody has been writing to it
/// for 30 seconds; [`Error::DatabaseUnavailable`]; [`Error::OutcomeUnknown`].
pub async fn renumber(database: &Database) -> Result<Renumbered, Error> {
    let businesses = tenants::all_businesses(database).await?;
    let transaction = database
        .begin_with("app.businesses = 'listed'", &SETTINGS)
        .await?
        .with_patience(PATIENCE);
    if !may_change(&transaction).await? {
        return Err(Error::Forbidden);
    }
    let lock = "LOCK TABLE audit_events, audit_seals IN EXCLUSIVE MODE";
    transaction.execute_unprepared(lock).await?;
    let mut all = Renumbered::default();
    for business in businesses {
        let one = renumber_business(&transaction, business).await?;
        all.businesses += one.businesses;
        all.entries += one.entries;
        all.seals += one.seals;
    }
    transaction.commit().await?;
    Ok(all)
}

#[derive(Debug, FromQueryResult)]
struct Right {
    is_given: bool,
}

async fn may_change(transaction: &Transaction) -> Result<bool, Error> {
    let sql = "SELECT has_table_privilege('audit_events', 'UPDATE')
                  AND has_table_privilege('audit_seals', 'UPDATE') AS is_given";
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    let right = Right::find_by_statement(statement).one(transaction).await?;
    Ok(right.is_some_and(|right| right.is_given))
}

/// The highest number of a restored entry, and that of the last transaction that restored any: what this server has made
/// since has a higher one.
const RESTORED: &str = concat!(
    "SELECT max(transaction_id) AS highest, max(",
    number_of_writer!("xmin"),
    ") AS restored_by FROM audit_events WHERE business_id = $1 AND transaction_id > ",
    number_of_writer!("xmin"),
);

#[derive(Debug, FromQueryResult)]
struct Restored {
    highest: Option<i64>,
    restored_by: Option<i64>,
}

/// Before the entries, whose numbers tell which seals were made since the restore: those whose last entry was.
const SEALS: &str = concat!(
    "UPDATE audit_seals SET last_transaction_id = last_transaction_id - $2
      WHERE business_id = $1
        AND NOT EXISTS (SELECT FROM audit_events e
                         WHERE e.business_id = $1 AND e.transaction_id = audit_seals.last_transaction_id
                           AND e.id = audit_seals.last_event_id AND e.transaction_id > $3
                           AND e.transaction_id <= ",
    number_of_writer!("e.xmin"),
    ")"
);

const ENTRIES: &str = concat!(
    "UPDATE audit_events SET transaction_id = transaction_id - $2
      WHERE business_id = $1 AND (transaction_id <= $3 OR transaction_id > ",
    number_of_writer!("xmin"),
    ")"
);

async fn renumber_business(
    transaction: &Transaction,
    business: BusinessId,
) -> Result<Renumbered, Error> {
    // Row security binds the owner too.
    let whose = format!("SET LOCAL app.business_id = '{business}'");
    transaction.execute_unprepared(&whose).await?;
    let values = [business.0.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, RESTORED, values);
    let restored = Restored::find_by_statement(statement)
        .one(transaction)
        .await?;
    let Some(Restored {
        highest: Some(highest),
        restored_by: Some(restored_by),
    }) = restored
    else {
        return Ok(Renumbered::default());
    };
    let update = async |sql: &str| {
        let values = [business.0.into(), highest.into(), restored_by.into()];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        let updated = transaction.execute_raw(statement).await?;
        Ok::<_, Error>(updated.rows_affected())
    };
    Ok(Renumbered {
        businesses: 1,
        seals: update(SEALS).await?,
        entries: update(ENTRIES).await?,
    })
}
