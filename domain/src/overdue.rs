//! Overdue customers: who owes what on orders older than so many days.
//!
//! Only the unpaid remainder of an order ages: `amount_due`, which the database derives on the order itself, so no join
//! can multiply it and a paid order never counts.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use entity::{CustomerId, Money, Tenant, customers, orders};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, FromQueryResult, IntoSimpleExpr, JoinType, QueryFilter, QueryOrder,
    QuerySelect, RelationTrait,
};

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
        let oldest = || orders::Column::CreatedAt.into_simple_expr().min();
        let cutoff = Expr::cust_with_values("now() - make_interval(days => $1)", [days]);
        let mut select = orders::Entity::of(caller.business_id)
            .select_only()
            .column_as(customers::Column::Id, "customer_id")
            .column_as(customers::Column::Name, "customer_name")
            .column_as(customers::Column::Balance, "balance")
            .expr_as(
                orders::Column::AmountDue.into_simple_expr().sum(),
                "overdue_amount",
            )
            .expr_as(oldest(), "oldest_order_date")
            .expr_as(
                Expr::cust_with_exprs(
                    "floor(extract(epoch from now() - $1) / 86400)::int",
                    [oldest()],
                ),
                "days_since_order",
            )
            .join(JoinType::InnerJoin, orders::Relation::Customers.def())
            .filter(orders::Column::PaymentMethod.eq(orders::PaymentMethod::Credit))
            .filter(orders::Column::AmountDue.gt(Money::ZERO))
            .filter(orders::Column::CreatedAt.into_simple_expr().lt(cutoff))
            .group_by(customers::Column::BusinessId)
            .group_by(customers::Column::Id);
        if let Some(place) = paging.after {
            select = select.having(
                Condition::any().add(oldest().gt(place.oldest_order)).add(
                    Condition::all()
                        .add(oldest().eq(place.oldest_order))
                        .add(customers::Column::Id.gt(place.customer)),
                ),
            );
        }
        let rows = select
            .order_by_asc(oldest())
            .order_by_asc(customers::Column::Id)
            .limit(paging.rows())
            .into_model::<Overdue>()
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
