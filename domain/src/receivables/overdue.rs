//! Overdue customers: who owes what on orders that are past due, or that are old, by more than so many days.
//!
//! Only the unpaid remainder of an order ages: `amount_due`, which the database derives on the order itself, so no join
//! can multiply it and a paid order never counts.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use entity::{CustomerId, Money};
use sea_orm::{DbBackend, FromQueryResult, Statement};
use uuid::Uuid;

use crate::foundation::clock;
use crate::foundation::dates::{self, Clock};
use crate::foundation::retry::retry;
use crate::{Caller, Database, Error, Page, Paging};

/// The date of an order that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// When it was due. Days are those of the business, as in aging.
    DueDate,
    /// When it was made. Days have 24 hours.
    OrderDate,
}

/// Which orders make a customer overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Criterion {
    /// The date that counts.
    pub by: By,
    /// More than so many days ago.
    pub days: u32,
}

/// A customer with an unpaid remainder on orders that count.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Overdue {
    /// Who.
    pub customer_id: CustomerId,
    /// Its name.
    pub customer_name: String,
    /// All that it owes.
    pub balance: Money,
    /// What it owes on the orders that count.
    pub overdue_amount: Money,
    /// When the oldest of them was made.
    pub oldest_order_date: DateTime<Utc>,
    /// When the first of them was due.
    pub oldest_due_at: DateTime<Utc>,
    /// Whole days since the oldest was made.
    #[sea_orm(skip)]
    pub days_since_order: i32,
    /// The days by which the first is past due; 0 when none is.
    #[sea_orm(skip)]
    pub days_past_due: i32,
}

impl Overdue {
    fn with_days(self, clock: &Clock) -> Self {
        let age = (clock.now - self.oldest_order_date).num_days();
        Self {
            days_since_order: i32::try_from(age).unwrap_or(i32::MAX),
            days_past_due: dates::days_past_due(clock.time_zone, self.oldest_due_at, clock.today()),
            ..self
        }
    }

    fn place(&self, by: By) -> Place {
        Place {
            oldest: match by {
                By::DueDate => self.oldest_due_at,
                By::OrderDate => self.oldest_order_date,
            },
            customer: self.customer_id,
        }
    }
}

/// A page of overdue customers.
#[derive(Debug, Clone)]
pub struct OverdueList {
    /// The day that it was.
    pub today: NaiveDate,
    /// The customers, the longest overdue first.
    pub page: Page<Overdue, Place>,
}

/// Where a page of overdue customers ends. As text it is the two with a space between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The earliest date that counts of its last customer.
    pub oldest: DateTime<Utc>,
    /// That customer.
    pub customer: CustomerId,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Microseconds: what the database keeps, so that the place is found again exactly.
        let oldest = self.oldest.to_rfc3339_opts(SecondsFormat::Micros, true);
        write!(f, "{oldest} {}", self.customer)
    }
}

/// A text is no [`Place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time and a customer's id with a space between them")]
pub struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (oldest, customer) = text.split_once(' ').ok_or(NoPlace)?;
        let oldest = DateTime::parse_from_rfc3339(oldest).map_err(|_no_time| NoPlace)?;
        Ok(Self {
            oldest: oldest.to_utc(),
            customer: customer.parse().map_err(|_no_id| NoPlace)?,
        })
    }
}

/// Unpaid orders are walked from the earliest date on, and those that are not their customer's first are passed over,
/// until there are customers enough: a page by the due date costs what is on it, and not what all customers owe. The order's
/// date has no index, which every sale would have to write: a page by it sorts all that is unpaid.
macro_rules! list {
    ($date:literal) => {
        concat!(
            "
SELECT c.id AS customer_id, c.name AS customer_name, c.balance, owed.*
  FROM (SELECT o.customer_id, o.",
            $date,
            " AS since FROM orders o
         WHERE o.business_id = $1 AND o.amount_due > 0 AND o.payment_method = 'credit'
           AND o.",
            $date,
            " < $2
           AND o.",
            $date,
            " >= coalesce($3::timestamptz, '-infinity')
           AND (o.",
            $date,
            ", o.customer_id) > (coalesce($3::timestamptz, '-infinity'), $4)
           AND NOT EXISTS (SELECT FROM orders older
                            WHERE older.business_id = $1 AND older.customer_id = o.customer_id
                              AND older.amount_due > 0 AND older.payment_method = 'credit'
                              AND (older.",
            $date,
            ", older.id) < (o.",
            $date,
            ", o.id))
         ORDER BY o.",
            $date,
            ", o.customer_id LIMIT $5) AS oldest
  JOIN customers c ON c.business_id = $1 AND c.id = oldest.customer_id,
       LATERAL (SELECT sum(amount_due) AS overdue_amount, min(created_at) AS oldest_order_date,
                       min(due_at) AS oldest_due_at
                  FROM orders
                 WHERE business_id = $1 AND customer_id = oldest.customer_id AND amount_due > 0
                   AND payment_method = 'credit' AND ",
            $date,
            " < $2) AS owed
 ORDER BY oldest.since, c.id"
        )
    };
}

impl By {
    fn list(self) -> &'static str {
        match self {
            Self::DueDate => list!("due_at"),
            Self::OrderDate => list!("created_at"),
        }
    }
}

impl Criterion {
    /// Orders count whose date is before this moment.
    fn bound(self, clock: &Clock) -> DateTime<Utc> {
        match self.by {
            By::DueDate => dates::past_due_bound(clock.time_zone, clock.today(), self.days),
            By::OrderDate => clock.now - TimeDelta::days(self.days.into()),
        }
    }
}

/// Lists customers with an unpaid remainder on orders that count, the longest overdue first.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    criterion: Criterion,
    paging: &Paging<Place>,
) -> Result<OverdueList, Error> {
    retry(|| async {
        let transaction = database.begin_read(caller.business_id).await?;
        let clock = clock::of(&transaction, caller.business_id).await?;
        let values = [
            caller.business_id.0.into(),
            criterion.bound(&clock).into(),
            paging.after.map(|place| place.oldest).into(),
            paging
                .after
                .map_or(Uuid::nil(), |place| place.customer.0)
                .into(),
            i64::try_from(paging.rows()).unwrap_or(i64::MAX).into(),
        ];
        let sql = criterion.by.list();
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        let rows = Overdue::find_by_statement(statement)
            .all(&transaction)
            .await?;
        transaction.commit().await?;
        let rows = rows.into_iter().map(|row| row.with_days(&clock)).collect();
        Ok(OverdueList {
            today: clock.today(),
            page: Page::of(rows, paging, |row: &Overdue| row.place(criterion.by)),
        })
    })
    .await
}
