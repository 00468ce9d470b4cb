//! The local time of a business, for requests that name days.

use chrono::{DateTime, Utc};
use entity::{BusinessId, Tenant, TimeZone, businesses};
use sea_orm::sea_query::{Expr, Func, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, Select};

use crate::foundation::dates::{Clock, When};
use crate::foundation::retry::retry;
use crate::{Caller, Database, Error, Transaction};

/// The transaction's time and the time zone of the business. Costs one statement.
pub(crate) async fn of(transaction: &Transaction, business: BusinessId) -> Result<Clock, Error> {
    businesses::Entity::of(business)
        .select_only()
        .column(businesses::Column::TimeZone)
        .expr_as(Expr::current_timestamp(), "now")
        .into_model::<Clock>()
        .one(transaction)
        .await?
        .ok_or_else(|| Error::Bug(format!("business {business} does not exist")))
}

/// The database's time at this moment, which may be later than the start of the transaction. Costs one statement.
pub(crate) async fn now(transaction: &Transaction) -> Result<DateTime<Utc>, Error> {
    let now = Query::select()
        .expr_as(Func::cust("clock_timestamp"), "now")
        .to_owned();
    let row = transaction
        .query_one(&now)
        .await?
        .ok_or_else(|| Error::Bug("the clock returned nothing".into()))?;
    Ok(row.try_get("", "now")?)
}

/// Keeps the rows of a list whose time is in a span: at `from` or later, and before the end of `to`. Instants cost
/// nothing. Days need the time zone, which is read in a transaction of its own.
pub(crate) async fn within<E: EntityTrait>(
    database: &Database,
    caller: &Caller,
    mut select: Select<E>,
    time: E::Column,
    (from, to): (Option<When>, Option<When>),
) -> Result<Select<E>, Error> {
    let names_a_day = [from, to]
        .iter()
        .any(|when| matches!(when, Some(When::Day(_))));
    let zone = if names_a_day {
        read(database, caller.business_id).await?.time_zone
    } else {
        TimeZone::UTC
    };
    if let Some(from) = from {
        select = select.filter(time.gte(from.start(zone)));
    }
    if let Some(to) = to {
        select = select.filter(time.lt(to.end(zone)));
    }
    Ok(select)
}

/// [`of`] in a transaction of its own.
pub(crate) async fn read(database: &Database, business: BusinessId) -> Result<Clock, Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let clock = of(&transaction, business).await?;
        transaction.commit().await?;
        Ok(clock)
    })
    .await
}
