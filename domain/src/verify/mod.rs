//! Whether the books add up: every figure that is kept is computed anew from what it comes from.
//!
//! A business at a time, in one transaction that changes nothing and in which every check sees the same moment. The
//! database adds up and compares; only differences come over the wire, some at a time, so memory is bounded whatever is
//! wrong and however much there is. A check is a query whose every row is a difference: which rows it is about, what
//! they come to, and what is kept. It must find nothing in books that are good, and say something of every way in which
//! its figure can be wrong.

mod allocations;
mod balances;
mod checkout;
mod documents;
mod orders;
mod sales;
mod seals;
mod stock;

use std::time::Duration;

use entity::BusinessId;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};

use crate::{Database, Error, Transaction};

/// A figure that is computed anew.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// What it finds, as metrics and reports name it.
    pub name: &'static str,
    /// Its differences: `subject`, `expected` and `found`, as text. `$1` is the business.
    sql: &'static str,
}

/// Something that does not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub business_id: BusinessId,
    /// Which check found it.
    pub check: &'static str,
    /// The ids of the rows that it is about.
    pub subject: String,
    /// What they come to.
    pub expected: String,
    /// What is kept.
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

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct Counts {
    /// Customers.
    pub customers: i64,
    /// Ledger entries.
    pub entries: i64,
    /// Orders.
    pub orders: i64,
    /// Their lines.
    pub lines: i64,
    /// Allocations.
    pub allocations: i64,
    /// Payments, credit notes, write-offs, payouts and reversals.
    pub documents: i64,
    /// Products on the shelf.
    pub products: i64,
    /// Entries of the audit trail that are sealed.
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

const COUNTS: &str = "
SELECT (SELECT count(*) FROM customers WHERE business_id = $1) AS customers,
       (SELECT count(*) FROM ledger_entries WHERE business_id = $1) AS entries,
       (SELECT count(*) FROM orders WHERE business_id = $1) AS orders,
       (SELECT count(*) FROM order_items WHERE business_id = $1) AS lines,
       (SELECT count(*) FROM allocations WHERE business_id = $1) AS allocations,
       (SELECT count(*) FROM payments WHERE business_id = $1)
           + (SELECT count(*) FROM credit_notes WHERE business_id = $1)
           + (SELECT count(*) FROM write_offs WHERE business_id = $1)
           + (SELECT count(*) FROM payouts WHERE business_id = $1)
           + (SELECT count(*) FROM reversals WHERE business_id = $1) AS documents,
       (SELECT count(*) FROM inventory WHERE business_id = $1) AS products,
       (SELECT coalesce(sum(events), 0)::bigint FROM audit_seals WHERE business_id = $1) AS sealed";

/// Adding up years of trade takes longer than a request may. All rows of a query are wanted, not the first few, and one
/// core is enough.
const SETTINGS: [&str; 4] = [
    "statement_timeout = '1h'",
    "cursor_tuple_fraction = 1",
    "plan_cache_mode = 'force_custom_plan'",
    "max_parallel_workers_per_gather = 0",
];

/// How long the server is waited for: longer than its `statement_timeout`.
const PATIENCE: Duration = Duration::from_secs(3660);

/// Differences that come over the wire at once.
const FETCH: &str = "FETCH 500 FROM differences";

/// Every check, in the order in which they run.
pub fn checks() -> impl Iterator<Item = Check> {
    [
        balances::CHECKS,
        orders::CHECKS,
        checkout::CHECKS,
        allocations::CHECKS,
        documents::CHECKS,
        stock::CHECKS,
        sales::CHECKS,
        seals::CHECKS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Checks one business, and tells each difference as it is found.
///
/// # Errors
/// [`Error::DatabaseUnavailable`]; what was told before it stands.
pub async fn business(
    database: &Database,
    id: BusinessId,
    mut tell: impl FnMut(Difference),
) -> Result<Counts, Error> {
    let transaction = database.begin_snapshot(id, &SETTINGS).await?;
    let transaction = transaction.with_patience(PATIENCE);
    for check in checks() {
        differences(&transaction, id, check, &mut tell).await?;
    }
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, COUNTS, [id.0.into()]);
    let counts = Counts::find_by_statement(statement)
        .one(&transaction)
        .await?
        .ok_or_else(|| Error::Bug("a count answered nothing".into()))?;
    transaction.commit().await?;
    Ok(counts)
}

async fn differences(
    transaction: &Transaction,
    business_id: BusinessId,
    check: Check,
    tell: &mut impl FnMut(Difference),
) -> Result<(), Error> {
    let declare = format!("DECLARE differences NO SCROLL CURSOR FOR {}", check.sql);
    let statement =
        Statement::from_sql_and_values(DbBackend::Postgres, declare, [business_id.0.into()]);
    transaction.execute_raw(statement).await?;
    loop {
        // Not prepared: what a cursor's name stands for changes from check to check.
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
