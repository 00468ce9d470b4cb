//! Overdue customers: unpaid amounts on orders that are past due, or that exceed an age in days.
//!
//! Only the unpaid remainder of an order, `amount_due`, counts. The database derives it on the order itself, so no join
//! can multiply it. A paid order never counts.

use std::sync::LazyLock;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use entity::{CustomerId, Money, Tenant, orders};
use sea_orm::{ColumnTrait, DbBackend, FromQueryResult, QueryFilter, QuerySelect, Statement};
use uuid::Uuid;

use crate::foundation::clock;
use crate::foundation::dates::{self, Clock};
use crate::foundation::retry::retry;
use crate::orders::is_unpaid;
use crate::receivables::report_cursor::ReportCursor;
use crate::{Caller, Database, Error, Page, Paging};

/// The date that an order's age is measured from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The due date. Days are calendar days of the business, as in aging.
    DueDate,
    /// The time of the order. A day has 24 hours.
    OrderDate,
}

/// Which orders make a customer overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Criterion {
    /// The date that is measured from.
    pub by: By,
    /// Orders count when the date lies more than this many days back.
    pub days: u32,
}

/// A customer with an unpaid remainder on orders that count.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Overdue {
    /// The customer.
    pub customer_id: CustomerId,
    /// The customer's name.
    pub customer_name: String,
    /// All that the customer owes: the balance of the account.
    pub balance: Money,
    /// The customer's debt on the orders that count.
    pub overdue_amount: Money,
    /// When the oldest of these orders was placed.
    pub oldest_order_date: DateTime<Utc>,
    /// The earliest due date of these orders.
    pub oldest_due_at: DateTime<Utc>,
    /// Whole days since the oldest of these orders was placed.
    #[sea_orm(skip)]
    pub days_since_order: i32,
    /// Days by which the earliest is past due; 0 when none is.
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

    fn cursor(&self, by: By) -> ReportCursor {
        ReportCursor {
            at: match by {
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
    /// The current day, in the time zone of the business.
    pub today: NaiveDate,
    /// The customers, the longest overdue first. Positions carry the earliest date that counts of a page's last
    /// customer.
    pub page: Page<Overdue, ReportCursor>,
}

/// The query walks unpaid orders from the earliest date and skips those that are not their customer's first. It stops
/// when the page is full: by due date, a page costs what it holds, and not what all customers owe. The order date has
/// no index, which every sale would have to write. A page by it sorts all unpaid orders.
///
/// Raw: row comparisons, and a lateral sum over the rows of each customer that is found.
fn list_by(date: &str) -> String {
    format!(
        "
SELECT c.id AS customer_id, c.name AS customer_name, c.balance, owed.*
  FROM (SELECT o.customer_id, o.{date} AS since FROM orders o
         WHERE o.business_id = $1 AND o.amount_due > 0 AND o.payment_method = 'credit'
           AND o.{date} < $2
           AND o.{date} >= coalesce($3::timestamptz, '-infinity')
           AND (o.{date}, o.customer_id) > (coalesce($3::timestamptz, '-infinity'), $4)
           AND NOT EXISTS (SELECT FROM orders older
                            WHERE older.business_id = $1 AND older.customer_id = o.customer_id
                              AND older.amount_due > 0 AND older.payment_method = 'credit'
                              AND (older.{date}, older.id) < (o.{date}, o.id))
         ORDER BY o.{date}, o.customer_id LIMIT $5) AS oldest
  JOIN customers c ON c.business_id = $1 AND c.id = oldest.customer_id,
       LATERAL (SELECT sum(amount_due) AS overdue_amount, min(created_at) AS oldest_order_date,
                       min(due_at) AS oldest_due_at
                  FROM orders
                 WHERE business_id = $1 AND customer_id = oldest.customer_id AND amount_due > 0
                   AND payment_method = 'credit' AND {date} < $2) AS owed
 ORDER BY oldest.since, c.id"
    )
}

static BY_DUE_DATE: LazyLock<String> = LazyLock::new(|| list_by("due_at"));
static BY_ORDER_DATE: LazyLock<String> = LazyLock::new(|| list_by("created_at"));

impl By {
    fn list(self) -> &'static str {
        match self {
            Self::DueDate => &BY_DUE_DATE,
            Self::OrderDate => &BY_ORDER_DATE,
        }
    }
}

impl Criterion {
    /// The moment before which the date of an order must lie for the order to count.
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
    paging: &Paging<ReportCursor>,
) -> Result<OverdueList, Error> {
    retry(|| async {
        let transaction = database.begin_read(caller.business_id).await?;
        let clock = clock::of(&transaction, caller.business_id).await?;
        let values = [
            caller.business_id.0.into(),
            criterion.bound(&clock).into(),
            paging.after.map(|cursor| cursor.at).into(),
            paging
                .after
                .map_or(Uuid::nil(), |cursor| cursor.customer.0)
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
            page: Page::of(rows, paging, |row: &Overdue| row.cursor(criterion.by)),
        })
    })
    .await
}

/// The unpaid amount of a customer's orders that are past due today. To a caller with the role `customer`, other customers owe
/// nothing.
///
/// Costs two statements. The sum is read from the customer's part of the index of unpaid orders alone.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn of_customer(
    database: &Database,
    caller: &Caller,
    customer: CustomerId,
) -> Result<Money, Error> {
    if !caller.may_act_for(customer) {
        return Ok(Money::ZERO);
    }
    retry(|| async {
        let transaction = database.begin_read(caller.business_id).await?;
        let clock = clock::of(&transaction, caller.business_id).await?;
        let bound = dates::past_due_bound(clock.time_zone, clock.today(), 0);
        let sum: Option<Option<Money>> = orders::Entity::of(caller.business_id)
            .select_only()
            .column_as(orders::Column::AmountDue.sum(), "overdue")
            .filter(orders::Column::CustomerId.eq(customer))
            .filter(is_unpaid())
            .filter(orders::Column::DueAt.lt(bound))
            .into_tuple()
            .one(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(sum.flatten().unwrap_or(Money::ZERO))
    })
    .await
}
