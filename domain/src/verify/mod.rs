//! Verification: recomputes every stored figure from the rows that it derives from.
//!
//! Each business is verified in one read-only transaction with one snapshot. The database computes and compares. Only
//! differences are transferred, 500 at a time, so memory is bounded whatever is wrong. A check is a query that returns
//! one row per difference: the ids, the recomputed value and the stored value. On correct data it returns nothing, and
//! it must detect every way in which its figure can be wrong.
//!
//! The checks are raw SQL. Written apart from the code that makes the figures, they do not share its mistakes.

mod allocations;
mod balances;
mod checkout;
mod documents;
mod figures;
mod orders;
mod sales;
mod seals;
mod stock;

use std::time::Duration;

use entity::{
    BusinessId, Tenant, audit_seals, credit_notes, customers, inventory, ledger_entries,
    order_items, payments, payouts, reversals, write_offs,
};
use sea_orm::sea_query::{Asterisk, Expr, ExprTrait, Func, Query};
use sea_orm::{
    ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QuerySelect, QueryTrait, Select,
    Statement,
};

use crate::{Database, Error, Transaction};

/// A check of one figure.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// The name in metrics and reports.
    pub name: &'static str,
    /// Selects the differences: `subject`, `expected` and `found`, as text. `$1` is the business.
    sql: &'static str,
}

/// A stored figure that differs from the recomputed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The business.
    pub business_id: BusinessId,
    /// The name of the check.
    pub check: &'static str,
    /// The ids of the rows concerned.
    pub subject: String,
    /// The recomputed value.
    pub expected: String,
    /// The stored value.
    pub found: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: business {} {}: expected {}, found {}",
            self.check, self.business_id, self.subject, self.expected, self.found
        )
    }
}

/// The numbers of verified rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct Counts {
    /// Customers.
    pub customers: i64,
    /// Ledger entries.
    pub entries: i64,
    /// Orders.
    pub orders: i64,
    /// Order items.
    pub lines: i64,
    /// Allocations.
    pub allocations: i64,
    /// Payments, credit notes, write-offs, payouts and reversals.
    pub documents: i64,
    /// Products with an inventory row.
    pub products: i64,
    /// Sealed audit entries.
    pub sealed: i64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.customers += other.customers;
        self.entries += other.entries;
        self.orders += other.orders;
        self.lines += other.lines;
        self.allocations += other.allocations;
        self.documents += other.documents;
        self.products += other.products;
        self.sealed += other.sealed;
    }
}

/// Verifying years of data exceeds the timeout of a request. Queries are read to their end, and use one core.
const SETTINGS: [&str; 4] = [
    "statement_timeout = '1h'",
    "cursor_tuple_fraction = 1",
    "plan_cache_mode = 'force_custom_plan'",
    "max_parallel_workers_per_gather = 0",
];

/// The client-side timeout, longer than `statement_timeout`.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3660);

/// Transfers at most 500 differences at once.
const FETCH: &str = "FETCH 500 FROM differences";

/// All checks, in the order of execution.
pub fn checks() -> impl Iterator<Item = Check> {
    [
        balances::CHECKS,
        orders::CHECKS,
        checkout::CHECKS,
        allocations::CHECKS,
        documents::CHECKS,
        stock::CHECKS,
        sales::CHECKS,
        figures::CHECKS,
        seals::CHECKS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Verifies one business, and reports each difference when it is found.
///
/// # Errors
/// [`Error::DatabaseUnavailable`]; differences reported before remain valid.
pub async fn business(
    database: &Database,
    id: BusinessId,
    mut tell: impl FnMut(Difference),
) -> Result<Counts, Error> {
    let transaction = database.begin_snapshot(id, &SETTINGS).await?;
    let transaction = transaction.with_response_timeout(RESPONSE_TIMEOUT);
    for check in checks() {
        differences(&transaction, id, check, &mut tell).await?;
    }
    let counts = counts(&transaction, id).await?;
    transaction.commit().await?;
    Ok(counts)
}

async fn counts(transaction: &Transaction, id: BusinessId) -> Result<Counts, Error> {
    let documents = rows_of::<payments::Entity>(id)
        .add(rows_of::<credit_notes::Entity>(id))
        .add(rows_of::<write_offs::Entity>(id))
        .add(rows_of::<payouts::Entity>(id))
        .add(rows_of::<reversals::Entity>(id));
    let sealed = audit_seals::Entity::of(id)
        .select_only()
        .expr(Expr::cust("coalesce(sum(events), 0)::bigint"));
    let counts = Query::select()
        .expr_as(rows_of::<customers::Entity>(id), "customers")
        .expr_as(rows_of::<ledger_entries::Entity>(id), "entries")
        .expr_as(rows_of::<entity::orders::Entity>(id), "orders")
        .expr_as(rows_of::<order_items::Entity>(id), "lines")
        .expr_as(rows_of::<entity::allocations::Entity>(id), "allocations")
        .expr_as(documents, "documents")
        .expr_as(rows_of::<inventory::Entity>(id), "products")
        .expr_as(subquery(sealed), "sealed")
        .to_owned();
    let row = transaction
        .query_one(&counts)
        .await?
        .ok_or_else(|| Error::Bug("a count returned nothing".into()))?;
    Ok(Counts::from_query_result(&row, "")?)
}

/// The number of a business's rows in a table, as a subquery.
fn rows_of<E: Tenant>(business: BusinessId) -> Expr {
    subquery(
        E::of(business)
            .select_only()
            .expr(Func::count(Expr::col(Asterisk))),
    )
}

fn subquery<E: EntityTrait>(select: Select<E>) -> Expr {
    Expr::SubQuery(None, Box::new(select.into_query().into()))
}

async fn differences(
    transaction: &Transaction,
    business_id: BusinessId,
    check: Check,
    tell: &mut impl FnMut(Difference),
) -> Result<(), Error> {
    // Raw: SeaORM has no cursors.
    let declare = format!("DECLARE differences NO SCROLL CURSOR FOR {}", check.sql);
    let statement =
        Statement::from_sql_and_values(DbBackend::Postgres, declare, [business_id.0.into()]);
    transaction.execute_raw(statement).await?;
    loop {
        // Not prepared: the same cursor name means another query for each check.
        let fetch = Statement::from_string(DbBackend::Postgres, FETCH);
        let rows = transaction.query_all_raw(fetch).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            tell(Difference {
                business_id,
                check: check.name,
                subject: row.try_get("", "subject")?,
                expected: row.try_get("", "expected")?,
                found: row.try_get("", "found")?,
            });
        }
    }
    transaction.execute_unprepared("CLOSE differences").await?;
    Ok(())
}
