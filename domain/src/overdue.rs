//! Overdue customers: who owes what on orders older than so many days.
//!
//! Only the unpaid remainder of an order ages: `amount_due`, which the database derives on the order itself, so no join
//! can multiply it and a paid order never counts.

use chrono::{DateTime, Utc};
use entity::{CustomerId, Money, Tenant, customers, orders};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, FromQueryResult, IntoSimpleExpr, JoinType, QueryFilter, QueryOrder,
    QuerySelect, RelationTrait,
};

use crate::retry::retry;
use crate::{Caller, Database, Error, Page};

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

/// Where a page of overdue customers ends: the oldest order of its last customer, and that customer.
pub type Place = (DateTime<Utc>, CustomerId);

/// Lists customers with an unpaid remainder on orders older than `days`, the longest overdue first.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    days: i32,
    limit: u64,
    after: Option<Place>,
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
        if let Some((oldest_order, customer)) = after {
            select = select.having(
                Condition::any().add(oldest().gt(oldest_order)).add(
                    Condition::all()
                        .add(oldest().eq(oldest_order))
                        .add(customers::Column::Id.gt(customer)),
                ),
            );
        }
        let rows = select
            .order_by_asc(oldest())
            .order_by_asc(customers::Column::Id)
            .limit(limit + 1)
            .into_model::<Overdue>()
            .all(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(Page::of(rows, limit, |row| {
            (row.oldest_order_date, row.customer_id)
        }))
    })
    .await
}
