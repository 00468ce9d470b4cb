//! Overdue customers: who owes what on orders older than so many days.
//!
//! Only the unpaid remainder of an order ages: `amount_due`, which the database derives on the order itself, so no join
//! can multiply it and a paid order never counts.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use entity::{CustomerId, Money};
use sea_orm::{DbBackend, FromQueryResult, Statement};
use uuid::Uuid;

use crate::retry::retry;
use crate::{Caller, Database, Error, Page, Paging};

/// A customer with an unpaid remainder on old orders.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Overdue {
    /// Who.
    pub customer_id: CustomerId,
    /// Its name.
    pub customer_name: String,
    /// All that it owes, old and new.
    pub balance: Money,
    /// What it owes on the orders that are older.
    pub overdue_amount: Money,
    /// The oldest of them.
    pub oldest_order_date: DateTime<Utc>,
    /// Whole days since then.
    pub days_since_order: i32,
}

/// Where a page of overdue customers ends. As text it is the two with a space between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The oldest order of its last customer.
    pub oldest_order: DateTime<Utc>,
    /// That customer.
    pub customer: CustomerId,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Microseconds: what the database keeps, so that the place is found again exactly.
        let oldest = self
            .oldest_order
            .to_rfc3339_opts(SecondsFormat::Micros, true);
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
            oldest_order: oldest.to_utc(),
            customer: customer.parse().map_err(|_no_id| NoPlace)?,
        })
    }
}

/// Unpaid orders are walked from the oldest on, and those that are not their customer's oldest are passed over, until
/// there are customers enough: a page costs what is on it, and not what all customers owe.
const LIST: &str = "
SELECT c.id AS customer_id, c.name AS customer_name, c.balance, oldest.created_at AS oldest_order_date,
       (SELECT sum(amount_due) FROM orders
         WHERE business_id = $1 AND customer_id = c.id AND amount_due > 0 AND payment_method = 'credit'
           AND created_at < now() - make_interval(days => $2)) AS overdue_amount,
       floor(extract(epoch from now() - oldest.created_at) / 86400)::int AS days_since_order
  FROM (SELECT o.customer_id, o.created_at FROM orders o
         WHERE o.business_id = $1 AND o.amount_due > 0 AND o.payment_method = 'credit'
           AND o.created_at < now() - make_interval(days => $2)
           AND o.created_at >= coalesce($3::timestamptz, '-infinity')
           AND (o.created_at, o.customer_id) > (coalesce($3::timestamptz, '-infinity'), $4)
           AND NOT EXISTS (SELECT FROM orders older
                            WHERE older.business_id = $1 AND older.customer_id = o.customer_id
                              AND older.amount_due > 0 AND older.payment_method = 'credit'
                              AND (older.created_at, older.id) < (o.created_at, o.id))
         ORDER BY o.created_at, o.customer_id LIMIT $5) AS oldest
  JOIN customers c ON c.business_id = $1 AND c.id = oldest.customer_id
 ORDER BY oldest.created_at, c.id";

/// Lists customers with an unpaid remainder on orders older than `days`, the longest overdue first.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    days: i32,
    paging: &Paging<Place>,
) -> Result<Page<Overdue, Place>, Error> {
    retry(|| async {
        let transaction = database.begin_read(caller.business_id).await?;
        let (oldest, customer) = match paging.after {
            Some(place) => (Some(place.oldest_order), place.customer.0),
            None => (None, Uuid::nil()),
        };
        let values = [
            caller.business_id.0.into(),
            days.into(),
            oldest.into(),
            customer.into(),
            i64::try_from(paging.rows()).unwrap_or(i64::MAX).into(),
        ];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, LIST, values);
        let rows = Overdue::find_by_statement(statement)
            .all(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(Page::of(rows, paging, |row| Place {
            oldest_order: row.oldest_order_date,
            customer: row.customer_id,
        }))
    })
    .await
}
