//! Aging: what each customer owes at a date, by days past due.
//!
//! A report covers what took effect before a moment; for a day, that is the start of the next day. The queries start
//! from the current amounts and undo what took effect from that moment on:
//!
//! - the amount owed on an order: its amount due now, plus later allocations to it;
//! - a customer's balance: the balance now, less later entries;
//! - credit on account: the credit now, less later credits, plus later allocations of it. Later credits are all entries
//!   but charges; reversals of credits and payouts are negative ones.
//!
//! At every date this holds:
//!
//! > the buckets − credit on account = balance.
//!
//! It is a law of the data and not of these queries: the two sides are sums over different rows.

use std::sync::LazyLock;

use chrono::{DateTime, NaiveDate, Utc};
use entity::{BusinessId, CustomerId, Money, TimeZone};
use sea_orm::{DbBackend, FromQueryResult, Statement, Value};
use uuid::Uuid;

use crate::foundation::clock;
use crate::foundation::dates::{CLOCK_TOLERANCE, Clock, When, not_after, past_due_bounds};
use crate::foundation::retry::retry;
use crate::receivables::report_cursor::ReportCursor;
use crate::{Caller, Database, Error, Page, Paging, Transaction};

/// Amounts owed, by days past due, and what was paid ahead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct Buckets {
    /// Owed, and not due before the day.
    pub current: Money,
    /// Owed, and past due for 1 to 30 days.
    pub days_1_30: Money,
    /// Owed, and past due for 31 to 60 days.
    pub days_31_60: Money,
    /// Owed, and past due for 61 to 90 days.
    pub days_61_90: Money,
    /// Owed, and past due for more than 90 days.
    pub days_over_90: Money,
    /// Credit that settles no order.
    pub credit_on_account: Money,
}

/// One customer's row of the report.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Aged {
    /// The customer.
    pub customer_id: CustomerId,
    /// The customer's name now, not at the date of the report.
    pub customer_name: String,
    /// The customer's debt and credit on account.
    #[sea_orm(nested)]
    pub buckets: Buckets,
    /// The sum of the customer's ledger entries at the date.
    pub balance: Money,
}

/// One page of the report.
#[derive(Debug, Clone)]
pub struct Aging {
    /// The moment of the report. What takes effect from then on is excluded.
    pub as_of: DateTime<Utc>,
    /// The last day of the report, in the time zone of the business.
    pub day: NaiveDate,
    /// Customers that owed something or had credit on account, by id. Positions carry the moment of the report.
    pub page: Page<Aged, ReportCursor>,
    /// The sum over all customers; `None` on all pages but the first.
    pub total: Option<Buckets>,
}

impl Buckets {
    /// The sum of the buckets less credit on account.
    #[must_use]
    pub fn balance(&self) -> Money {
        self.due() - self.credit_on_account
    }

    /// The sum of the buckets: the amount owed on orders.
    #[must_use]
    pub fn due(&self) -> Money {
        self.current + self.overdue()
    }

    /// The sum of the buckets past due.
    #[must_use]
    pub fn overdue(&self) -> Money {
        self.days_1_30 + self.days_31_60 + self.days_61_90 + self.days_over_90
    }
}

/// The bucket, 0 to 4, of an order due at `due_at`. `$3` to `$6` are the bounds between buckets.
const BUCKET: &str =
    "CASE WHEN due_at >= $3 THEN 0 WHEN due_at >= $4 THEN 1 WHEN due_at >= $5 THEN 2
                           WHEN due_at >= $6 THEN 3 ELSE 4 END";

/// Sums `amount` by `bucket` into columns. Bucket 5 is credit on account.
const SUMS: &str = "
    coalesce(sum(amount) FILTER (WHERE bucket = 0), 0) AS current,
    coalesce(sum(amount) FILTER (WHERE bucket = 1), 0) AS days_1_30,
    coalesce(sum(amount) FILTER (WHERE bucket = 2), 0) AS days_31_60,
    coalesce(sum(amount) FILTER (WHERE bucket = 3), 0) AS days_61_90,
    coalesce(sum(amount) FILTER (WHERE bucket = 4), 0) AS days_over_90,
    coalesce(sum(amount) FILTER (WHERE bucket = 5), 0) AS credit_on_account";

/// The number of rows after a date differs so much that no generic plan is good for all dates. A report runs on one
/// core, so that it does not take the others from the desk.
const SETTINGS: [&str; 3] = [
    "plan_cache_mode = 'force_custom_plan'",
    "jit = 'off'",
    "max_parallel_workers_per_gather = 0",
];

/// Reads a page of the report for a moment, for the end of a day, or for now. A cursor carries the moment of its
/// report.
///
/// # Errors
/// [`Error::ImpossibleDate`]; [`Error::ForeignCursor`]; [`Error::DatabaseUnavailable`].
pub async fn report(
    database: &Database,
    caller: &Caller,
    as_of: Option<When>,
    paging: &Paging<ReportCursor>,
) -> Result<Aging, Error> {
    retry(|| async {
        let transaction = database
            .begin_snapshot(caller.business_id, &SETTINGS)
            .await?;
        let clock = clock::of(&transaction, caller.business_id).await?;
        let cut = Cut::of(&clock, as_of, paging.after)?;
        let rows = customers(&transaction, caller.business_id, &cut, paging).await?;
        let total = match paging.after {
            Some(_) => None,
            None => Some(total(&transaction, caller.business_id, &cut).await?),
        };
        transaction.commit().await?;
        Ok(Aging {
            as_of: cut.until,
            day: cut.day,
            page: Page::of(rows, paging, |row| ReportCursor {
                at: cut.until,
                customer: row.customer_id,
            }),
            total,
        })
    })
    .await
}

/// The debt of all customers now, by days past due.
#[derive(Debug, Clone, Copy)]
pub struct Totals {
    /// The moment of the report.
    pub as_of: DateTime<Utc>,
    /// The present day, in the time zone of the business.
    pub day: NaiveDate,
    /// The sums.
    pub buckets: Buckets,
}

/// Reads the totals of a report for now, without its customers.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn totals(database: &Database, caller: &Caller) -> Result<Totals, Error> {
    retry(|| async {
        let business = caller.business_id;
        let transaction = database.begin_snapshot(business, &SETTINGS).await?;
        let clock = clock::of(&transaction, business).await?;
        let cut = Cut::of(&clock, None, None)?;
        let buckets = total(&transaction, business, &cut).await?;
        transaction.commit().await?;
        Ok(Totals {
            as_of: cut.until,
            day: cut.day,
            buckets,
        })
    })
    .await
}

/// The end of the report: what took effect before `until` is included.
#[derive(Debug, Clone, Copy)]
struct Cut {
    until: DateTime<Utc>,
    /// The day that ends at `until`, or that contains it.
    day: NaiveDate,
    zone: TimeZone,
}

impl Cut {
    fn of(clock: &Clock, as_of: Option<When>, after: Option<ReportCursor>) -> Result<Self, Error> {
        let zone = clock.time_zone;
        if let Some(as_of) = as_of {
            as_of.not_before_1970("as_of")?;
            not_after(clock.now, "as_of", as_of.start(zone))?;
        }
        let until = match after {
            None => clock.until(as_of),
            Some(cursor) if is_of(cursor, clock, as_of) => cursor.at,
            Some(_) => return Err(Error::ForeignCursor),
        };
        Ok(Self {
            until,
            day: clock.last_day(until),
            zone,
        })
    }
}

/// Whether a cursor belongs to the requested report. A report whose end was still in the future was read as of its
/// present.
fn is_of(cursor: ReportCursor, clock: &Clock, as_of: Option<When>) -> bool {
    let zone = clock.time_zone;
    let is_asked_for = as_of.is_none_or(|as_of| {
        let earliest = as_of.start(zone) - CLOCK_TOLERANCE;
        (earliest..=as_of.end(zone)).contains(&cursor.at)
    });
    is_asked_for && (DateTime::UNIX_EPOCH..=clock.now).contains(&cursor.at)
}

/// Up to one customer more than the page holds, which shows whether another page follows.
async fn customers(
    transaction: &Transaction,
    business: BusinessId,
    cut: &Cut,
    paging: &Paging<ReportCursor>,
) -> Result<Vec<Aged>, Error> {
    let wanted = usize::try_from(paging.rows()).unwrap_or(usize::MAX);
    let mut after = paging.after.map(|cursor| cursor.customer);
    let mut found = Vec::new();
    loop {
        let candidates = candidates(transaction, business, cut, wanted, after).await?;
        let is_last = candidates.len() < wanted;
        after = candidates.last().map(|row| row.customer_id).or(after);
        // Later changes may add up to 0 at the date of the report.
        let owed = |row: &Aged| row.buckets != Buckets::default();
        found.extend(candidates.into_iter().filter(owed));
        if is_last || found.len() >= wanted {
            return Ok(found);
        }
    }
}

/// The next customers with their amounts. Candidates have an order that is unpaid now or was settled later.
/// Others have credit on account now, or credit that was allocated, reversed or paid out later. Each branch walks an
/// index by customer and stops at the limit.
///
/// Raw: a union of index walks, and a lateral sum over five kinds of parts.
static CANDIDATES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
WITH candidate AS MATERIALIZED (
    SELECT customer_id FROM (
        (SELECT DISTINCT customer_id FROM orders
          WHERE business_id = $1 AND amount_due > 0 AND payment_method = 'credit' AND created_at < $2
            AND customer_id > $7
          ORDER BY customer_id LIMIT $8)
        UNION
        (SELECT DISTINCT customer_id FROM credits_on_account WHERE business_id = $1 AND customer_id > $7
          ORDER BY customer_id LIMIT $8)
        UNION
        (SELECT DISTINCT a.customer_id
           FROM allocations a
           JOIN orders o ON (o.business_id, o.id) = (a.business_id, a.order_id)
           JOIN ledger_entries e
             ON (e.business_id, e.customer_id, e.number) = (a.business_id, a.customer_id, a.entry_number)
          WHERE a.business_id = $1 AND a.effective_at >= $2 AND a.customer_id > $7
            AND (o.created_at < $2 OR e.effective_at < $2)
          ORDER BY a.customer_id LIMIT $8)
        UNION
        (SELECT DISTINCT customer_id FROM ledger_entries
          WHERE business_id = $1 AND kind <> 'charge' AND kind IN ('reversal', 'payout') AND effective_at >= $2
            AND customer_id > $7
          ORDER BY customer_id LIMIT $8)
    ) AS each ORDER BY customer_id LIMIT $8
)
SELECT candidate.customer_id, c.name AS customer_name, figures.*,
       c.balance - (SELECT coalesce(sum(amount), 0) FROM ledger_entries
                     WHERE business_id = $1 AND customer_id = candidate.customer_id AND effective_at >= $2)
           AS balance
  FROM candidate
  JOIN customers c ON c.business_id = $1 AND c.id = candidate.customer_id,
       LATERAL (SELECT {SUMS} FROM (
           SELECT {BUCKET} AS bucket, amount_due AS amount FROM orders
            WHERE business_id = $1 AND customer_id = candidate.customer_id AND amount_due > 0
              AND payment_method = 'credit' AND created_at < $2
           UNION ALL
           SELECT {BUCKET}, a.amount
             FROM allocations a JOIN orders o ON (o.business_id, o.id) = (a.business_id, a.order_id)
            WHERE a.business_id = $1 AND a.customer_id = candidate.customer_id AND a.effective_at >= $2
              AND o.created_at < $2
           UNION ALL
           SELECT 5, amount FROM allocations
            WHERE business_id = $1 AND customer_id = candidate.customer_id AND effective_at >= $2
           UNION ALL
           SELECT 5, amount FROM credits_on_account
            WHERE business_id = $1 AND customer_id = candidate.customer_id
           UNION ALL
           SELECT 5, amount FROM ledger_entries
            WHERE business_id = $1 AND customer_id = candidate.customer_id AND kind <> 'charge'
              AND effective_at >= $2
       ) AS part) AS figures
 ORDER BY candidate.customer_id"
    )
});

async fn candidates(
    transaction: &Transaction,
    business: BusinessId,
    cut: &Cut,
    wanted: usize,
    after: Option<CustomerId>,
) -> Result<Vec<Aged>, Error> {
    let mut values = values(business, cut);
    values.push(after.map_or(Uuid::nil(), |customer| customer.0).into());
    values.push(i64::try_from(wanted).unwrap_or(i64::MAX).into());
    let statement =
        Statement::from_sql_and_values(DbBackend::Postgres, CANDIDATES.as_str(), values);
    Ok(Aged::find_by_statement(statement).all(transaction).await?)
}

/// Sums over all customers, from the same parts as the rows. Orders are summed by bucket before the union.
///
/// Raw: sums over a union of five kinds of parts.
static TOTAL: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
SELECT {SUMS} FROM (
    SELECT bucket, sum(amount_due) AS amount
      FROM (SELECT {BUCKET} AS bucket, amount_due FROM orders
             WHERE business_id = $1 AND amount_due > 0 AND payment_method = 'credit' AND created_at < $2) AS due
     GROUP BY bucket
    UNION ALL
    SELECT {BUCKET}, a.amount
      FROM allocations a JOIN orders o ON (o.business_id, o.id) = (a.business_id, a.order_id)
     WHERE a.business_id = $1 AND a.effective_at >= $2 AND o.created_at < $2
    UNION ALL
    SELECT 5, sum(amount) FROM allocations WHERE business_id = $1 AND effective_at >= $2
    UNION ALL
    SELECT 5, sum(amount) FROM credits_on_account WHERE business_id = $1
    UNION ALL
    SELECT 5, sum(amount) FROM ledger_entries
     WHERE business_id = $1 AND kind <> 'charge' AND effective_at >= $2
) AS part"
    )
});

async fn total(
    transaction: &Transaction,
    business: BusinessId,
    cut: &Cut,
) -> Result<Buckets, Error> {
    let values = values(business, cut);
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, TOTAL.as_str(), values);
    let total = Buckets::find_by_statement(statement)
        .one(transaction)
        .await?;
    total.ok_or_else(|| Error::Bug("a sum returned nothing".into()))
}

/// Parameters `$1` to `$6`: the business, the moment, and the bounds between buckets.
fn values(business: BusinessId, cut: &Cut) -> Vec<Value> {
    let mut values: Vec<Value> = vec![business.0.into(), cut.until.into()];
    values.extend(past_due_bounds(cut.zone, cut.day).map(Value::from));
    values
}
