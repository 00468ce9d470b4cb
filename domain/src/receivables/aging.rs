//! Aging: who owes what for how long past due, at any date.
//!
//! A report is about what counts before a moment, which for a day is where the next one begins. It is rolled back from now
//! by what counts from that moment on. An order owed then what is due on it now and what was allocated to it since. A
//! customer's balance was what it is now less the entries since. Credit on account was what it is now, less the credits
//! since (which are all entries but charges: a reversal of a credit and a payout take it away), and what was allocated of it
//! since. So at every date
//!
//! > the buckets − credit on account = balance,
//!
//! which is a law of the data and not of these queries: the two sides are added up from different rows.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use entity::{BusinessId, CustomerId, Money, TimeZone};
use sea_orm::{DbBackend, FromQueryResult, Statement, Value};
use uuid::Uuid;

use crate::foundation::clock;
use crate::foundation::dates::{CLOCK_TOLERANCE, Clock, When, not_after, past_due_bounds};
use crate::foundation::retry::retry;
use crate::{Caller, Database, Error, Page, Paging, Transaction};

/// What is owed, by how long it is past due, and what was paid ahead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct Buckets {
    /// Not due before the day.
    pub current: Money,
    /// Past due for 1 to 30 days.
    pub days_1_30: Money,
    /// For 31 to 60.
    pub days_31_60: Money,
    /// For 61 to 90.
    pub days_61_90: Money,
    /// For longer.
    pub days_over_90: Money,
    /// Credit that settles no order.
    pub credit_on_account: Money,
}

/// One customer's share.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Aged {
    /// Who.
    pub customer_id: CustomerId,
    /// Its name.
    pub customer_name: String,
    /// What it owes and has on account.
    #[sea_orm(nested)]
    pub buckets: Buckets,
    /// The sum of its entries.
    pub balance: Money,
}

/// A page of the report.
#[derive(Debug, Clone)]
pub struct Aging {
    /// The moment that it is about: what counts from then on is not in it.
    pub as_of: DateTime<Utc>,
    /// The day of the business that it ends with.
    pub day: NaiveDate,
    /// The customers that owed something or had something on account, by id.
    pub page: Page<Aged, Place>,
    /// All customers together, on the first page.
    pub total: Option<Buckets>,
}

/// Where a page ends, and the moment that the report is about. As text it is the two with a space between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The moment.
    pub as_of: DateTime<Utc>,
    /// The last customer of the page.
    pub customer: CustomerId,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let as_of = self.as_of.to_rfc3339_opts(SecondsFormat::Micros, true);
        write!(f, "{as_of} {}", self.customer)
    }
}

/// A text is no [`Place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time and a customer's id with a space between them")]
pub struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (as_of, customer) = text.split_once(' ').ok_or(NoPlace)?;
        let as_of = DateTime::parse_from_rfc3339(as_of).map_err(|_no_time| NoPlace)?;
        Ok(Self {
            as_of: as_of.to_utc(),
            customer: customer.parse().map_err(|_no_id| NoPlace)?,
        })
    }
}

impl Buckets {
    /// What they add up to.
    #[must_use]
    pub fn balance(&self) -> Money {
        self.current + self.days_1_30 + self.days_31_60 + self.days_61_90 + self.days_over_90
            - self.credit_on_account
    }
}

/// The bucket of an order that is due at `due_at`: `$3` to `$6` part them.
const BUCKET: &str =
    "CASE WHEN due_at >= $3 THEN 0 WHEN due_at >= $4 THEN 1 WHEN due_at >= $5 THEN 2
                           WHEN due_at >= $6 THEN 3 ELSE 4 END";

/// What lies in buckets: `bucket` and `amount` become columns. The sixth is credit on account.
const SUMS: &str = "
    coalesce(sum(amount) FILTER (WHERE bucket = 0), 0) AS current,
    coalesce(sum(amount) FILTER (WHERE bucket = 1), 0) AS days_1_30,
    coalesce(sum(amount) FILTER (WHERE bucket = 2), 0) AS days_31_60,
    coalesce(sum(amount) FILTER (WHERE bucket = 3), 0) AS days_61_90,
    coalesce(sum(amount) FILTER (WHERE bucket = 4), 0) AS days_over_90,
    coalesce(sum(amount) FILTER (WHERE bucket = 5), 0) AS credit_on_account";

/// The dates differ so much in how many rows are after them that a plan for any date is good for none. And a report
/// takes one core, not all of them from those who sell.
const SETTINGS: [&str; 3] = [
    "plan_cache_mode = 'force_custom_plan'",
    "jit = 'off'",
    "max_parallel_workers_per_gather = 0",
];

/// Reads a page of the report about a moment, the end of a day, or now. A cursor has the moment of the page before.
///
/// # Errors
/// [`Error::ImpossibleDate`]; [`Error::ForeignCursor`]; [`Error::DatabaseUnavailable`].
pub async fn report(
    database: &Database,
    caller: &Caller,
    as_of: Option<When>,
    paging: &Paging<Place>,
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
            page: Page::of(rows, paging, |row| Place {
                as_of: cut.until,
                customer: row.customer_id,
            }),
            total,
        })
    })
    .await
}

/// Where the report cuts time: what counts before `until` is in it.
#[derive(Debug, Clone, Copy)]
struct Cut {
    until: DateTime<Utc>,
    /// The day that ends there, or in which it lies.
    day: NaiveDate,
    zone: TimeZone,
}

impl Cut {
    fn of(clock: &Clock, as_of: Option<When>, after: Option<Place>) -> Result<Self, Error> {
        let zone = clock.time_zone;
        if let Some(as_of) = as_of {
            as_of.not_before_1970("as_of")?;
            not_after(clock.now, "as_of", as_of.start(zone))?;
        }
        let until = match after {
            None => clock.until(as_of),
            Some(place) if is_of(place, clock, as_of) => place.as_of,
            Some(_) => return Err(Error::ForeignCursor),
        };
        Ok(Self {
            until,
            day: clock.last_day(until),
            zone,
        })
    }
}

/// Whether the page before was one of the report that is asked for. That was about now if its end was still to come.
fn is_of(place: Place, clock: &Clock, as_of: Option<When>) -> bool {
    let zone = clock.time_zone;
    let is_asked_for = as_of.is_none_or(|as_of| {
        let earliest = as_of.start(zone) - CLOCK_TOLERANCE;
        (earliest..=as_of.end(zone)).contains(&place.as_of)
    });
    is_asked_for && (DateTime::UNIX_EPOCH..=clock.now).contains(&place.as_of)
}

/// One customer more than a page has, if there are so many.
async fn customers(
    transaction: &Transaction,
    business: BusinessId,
    cut: &Cut,
    paging: &Paging<Place>,
) -> Result<Vec<Aged>, Error> {
    let wanted = usize::try_from(paging.rows()).unwrap_or(usize::MAX);
    let mut after = paging.after.map(|place| place.customer);
    let mut found = Vec::new();
    loop {
        let candidates = candidates(transaction, business, cut, wanted, after).await?;
        let is_last = candidates.len() < wanted;
        after = candidates.last().map(|row| row.customer_id).or(after);
        // What happened since may add up to nothing then.
        let owed = |row: &Aged| row.buckets != Buckets::default();
        found.extend(candidates.into_iter().filter(owed));
        if is_last || found.len() >= wanted {
            return Ok(found);
        }
    }
}

/// The next customers with an order that is unpaid now or was settled since, or with credit that is on account now, was
/// used since, reversed since or paid out since, and their figures. Each part walks an index in order of customers and stops when it has
/// enough of them.
async fn candidates(
    transaction: &Transaction,
    business: BusinessId,
    cut: &Cut,
    wanted: usize,
    after: Option<CustomerId>,
) -> Result<Vec<Aged>, Error> {
    let sql = format!(
        "WITH candidate AS MATERIALIZED (
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
    );
    let mut values = values(business, cut);
    values.push(after.map_or(Uuid::nil(), |customer| customer.0).into());
    values.push(i64::try_from(wanted).unwrap_or(i64::MAX).into());
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    Ok(Aged::find_by_statement(statement).all(transaction).await?)
}

/// All customers together, from the same parts: those of the orders are added up before they come together.
async fn total(
    transaction: &Transaction,
    business: BusinessId,
    cut: &Cut,
) -> Result<Buckets, Error> {
    let sql = format!(
        "SELECT {SUMS} FROM (
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
    );
    let values = values(business, cut);
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    let total = Buckets::find_by_statement(statement)
        .one(transaction)
        .await?;
    total.ok_or_else(|| Error::Bug("a sum answered nothing".into()))
}

/// The business, the moment, and what parts the buckets: `$1` to `$6`.
fn values(business: BusinessId, cut: &Cut) -> Vec<Value> {
    let mut values: Vec<Value> = vec![business.0.into(), cut.until.into()];
    values.extend(past_due_bounds(cut.zone, cut.day).map(Value::from));
    values
}
