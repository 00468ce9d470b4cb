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

use entity::{BusinessId, Tenant, audit_events, audit_seals};
use sea_orm::sea_query::{Expr, ExprTrait, Func, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, FromQueryResult, QueryFilter, QuerySelect, QueryTrait,
};

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
    // Raw: SeaORM has no `LOCK TABLE`.
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

async fn may_change(transaction: &Transaction) -> Result<bool, Error> {
    let may_update = |table: &str| {
        let function = Func::cust("has_table_privilege");
        Expr::from(function.args([Expr::val(table), Expr::val("UPDATE")]))
    };
    let both = may_update("audit_events").and(may_update("audit_seals"));
    let row = transaction
        .query_one(Query::select().expr_as(both, "is_given"))
        .await?;
    row.map_or(Ok(false), |row| Ok(row.try_get("", "is_given")?))
}

/// The number of the transaction that wrote the row of an entry.
fn writer() -> Expr {
    Expr::cust(number_of_writer!("audit_events.xmin"))
}

/// The highest number of a restored entry, and the number of the last transaction that restored any. Later entries of
/// this server have a higher one.
#[derive(Debug, FromQueryResult)]
struct Restored {
    highest: Option<i64>,
    restored_by: Option<i64>,
}

async fn restored(
    transaction: &Transaction,
    business: BusinessId,
) -> Result<Option<Restored>, Error> {
    use audit_events::Column;

    let restored = audit_events::Entity::of(business)
        .select_only()
        .column_as(Column::TransactionId.max(), "highest")
        .expr_as(Func::max(writer()), "restored_by")
        .filter(Column::TransactionId.into_expr().gt(writer()))
        .into_model()
        .one(transaction)
        .await?;
    Ok(restored)
}

async fn renumber_business(
    transaction: &Transaction,
    business: BusinessId,
) -> Result<Renumbered, Error> {
    // Row security applies to the owner of the tables too. Raw: SeaORM has no `SET`.
    let whose = format!("SET LOCAL app.business_id = '{business}'");
    transaction.execute_unprepared(&whose).await?;
    let Some(Restored {
        highest: Some(highest),
        restored_by: Some(restored_by),
    }) = restored(transaction, business).await?
    else {
        return Ok(Renumbered::default());
    };
    // Before the entries: their numbers tell which seals were made since the restore, by their last entry.
    let seals = renumber_seals(transaction, business, highest, restored_by).await?;
    let entries = renumber_entries(transaction, business, highest, restored_by).await?;
    Ok(Renumbered {
        businesses: 1,
        entries,
        seals,
    })
}

async fn renumber_seals(
    transaction: &Transaction,
    business: BusinessId,
    highest: i64,
    restored_by: i64,
) -> Result<u64, Error> {
    use audit_events::Column as Entry;
    use audit_seals::Column as Seal;

    let last_entry = audit_events::Entity::of(business)
        .filter(equal(Entry::TransactionId, Seal::LastTransactionId))
        .filter(equal(Entry::Id, Seal::LastEventId))
        .filter(Entry::TransactionId.gt(restored_by))
        .filter(Entry::TransactionId.into_expr().lte(writer()));
    let updated = audit_seals::Entity::update_of(business)
        .col_expr(
            Seal::LastTransactionId,
            Seal::LastTransactionId.into_expr().sub(highest),
        )
        .filter(Expr::not_exists(last_entry.into_query()))
        .exec(transaction)
        .await?;
    Ok(updated.rows_affected)
}

async fn renumber_entries(
    transaction: &Transaction,
    business: BusinessId,
    highest: i64,
    restored_by: i64,
) -> Result<u64, Error> {
    use audit_events::Column;

    let is_older = Column::TransactionId.lte(restored_by);
    let is_restored = Column::TransactionId.into_expr().gt(writer());
    let updated = audit_events::Entity::update_of(business)
        .col_expr(
            Column::TransactionId,
            Column::TransactionId.into_expr().sub(highest),
        )
        .filter(is_older.or(is_restored))
        .exec(transaction)
        .await?;
    Ok(updated.rows_affected)
}

/// `entry = seal`, each with its table.
fn equal(entry: audit_events::Column, seal: audit_seals::Column) -> Expr {
    entry.into_expr().equals(seal.as_column_ref())
}
