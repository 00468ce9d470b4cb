//! Renumbers restored audit entries, so that they precede all entries of this server.
//!
//! An entry has the number of the transaction that made it. If this server made it, that transaction also wrote its
//! row. An entry with a higher number than the transaction that wrote its row was therefore restored from another
//! server. All entries up to the restore, by the numbers of either server, are older than later ones, and keep their
//! order. The hash of a seal does not depend on the numbers.
//!
//! It locks both tables against writing until the commit; reading continues. It costs three statements per business
//! with restored entries, and one per business without.

use std::time::Duration;

use entity::BusinessId;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};

use super::number_of_writer;
use crate::foundation::tenants;
use crate::{Database, Error, Transaction};

/// The longest time of a statement, and the longest wait for transactions that are writing.
const SETTINGS: [&str; 2] = ["statement_timeout = '1h'", "lock_timeout = '30s'"];

/// The longest wait for an answer, which exceeds the statement timeout.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3610);

/// The result of a renumbering.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Renumbered {
    /// The number of businesses with restored entries.
    pub businesses: u64,
    /// The number of entries with a new number.
    pub entries: u64,
    /// The number of seals whose last entry has a new number.
    pub seals: u64,
}

/// Lowers the numbers of all restored entries in one transaction. It may run at any time, also while services write:
/// entries since the restore keep their numbers. Without restored entries nothing is changed.
///
/// # Errors
/// [`Error::Forbidden`] when the role may not update audit entries; [`Error::Contention`] when other
/// transactions have been writing for 30 seconds; [`Error::DatabaseUnavailable`]; [`Error::OutcomeUnknown`].
pub async fn renumber(database: &Database) -> Result<Renumbered, Error> {
    let businesses = tenants::all_businesses(database).await?;
    let transaction = database
        .begin_with("app.businesses = 'listed'", &SETTINGS)
        .await?
        .with_response_timeout(RESPONSE_TIMEOUT);
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

/// The highest number of a restored entry, and the number of the last transaction that restored any. Later entries of
/// this server have a higher one.
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

/// Must run before the entries are renumbered: their numbers tell which seals were made since the restore, by their
/// last entry.
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
    // Row security applies to the owner of the tables too.
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
