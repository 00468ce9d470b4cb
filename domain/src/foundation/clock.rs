//! The local time of a business, for requests that name days.

use chrono::{DateTime, Utc};
use entity::{BusinessId, Tenant, TimeZone, businesses};
use sea_orm::QuerySelect;
use sea_orm::sea_query::Expr;

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

/// Converts the bounds of a list to the first instant in it and the first after it. Instants cost nothing. Days need
/// the time zone, which is read in a transaction of its own.
pub(crate) async fn span(
    database: &Database,
    caller: &Caller,
    from: Option<When>,
    to: Option<When>,
) -> Result<(Option<DateTime<Utc>>, Option<DateTime<Utc>>), Error> {
    let names_a_day = [from, to]
        .iter()
        .any(|when| matches!(when, Some(When::Day(_))));
    let zone = if names_a_day {
        zone_of(database, caller.business_id).await?
    } else {
        TimeZone::UTC
    };
    Ok((from.map(|from| from.start(zone)), to.map(|to| to.end(zone))))
}

async fn zone_of(database: &Database, business: BusinessId) -> Result<TimeZone, Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let clock = of(&transaction, business).await?;
        transaction.commit().await?;
        Ok(clock.time_zone)
    })
    .await
}
