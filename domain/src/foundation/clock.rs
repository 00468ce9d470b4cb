//! What the clocks of a business show, for what is asked about by its days.

use chrono::{DateTime, Utc};
use entity::{BusinessId, TimeZone};
use sea_orm::{DbBackend, FromQueryResult, Statement};

use crate::foundation::dates::{Clock, When};
use crate::foundation::retry::retry;
use crate::{Caller, Database, Error, Transaction};

const CLOCK: &str = "SELECT now() AS now, time_zone FROM businesses WHERE id = $1";

/// What the clocks of a business show in this transaction.
pub(crate) async fn of(transaction: &Transaction, business: BusinessId) -> Result<Clock, Error> {
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, CLOCK, [business.0.into()]);
    Clock::find_by_statement(statement)
        .one(transaction)
        .await?
        .ok_or_else(|| Error::Bug(format!("business {business} is not there")))
}

/// The first moment of a list and the first after it. Moments cost nothing; for days the time zone is read, in a
/// transaction of its own.
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
