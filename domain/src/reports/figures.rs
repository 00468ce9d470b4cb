//! The kept figures of sales: what each day came to, up to an hour ago.
//!
//! A step adds what happened in a span of at most a day to the rows of its day. Days without events have no rows: one step
//! passes all of them up to the next event. The span ends at least an hour ago: every transaction of that time has ended,
//! and no row of it will come. What happens later, such as a cancellation, counts at its own time, so a kept row changes
//! on its own day only. A step costs one transaction of at most eight statements. The first that writes moves
//! `kept_until`, if it still has the expected value: of two processes one waits for the other, and then changes nothing.
//!
//! A change of the time zone moves the days: all figures are deleted and made again. Until then reports read the orders.

use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeDelta, Utc};
use entity::{BusinessId, Tenant, TimeZone, opening_items, orders};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Statement, Value,
};

use super::events::{self, COLUMNS, Kind, SUMS, events, values};
use super::period::{self, State};
use crate::foundation::dates::{Clock, exact};
use crate::foundation::retry::retry;
use crate::foundation::{clock, tenants};
use crate::{Database, Error, Transaction};

/// The age at which events are kept. No transaction takes as long.
const GRACE: TimeDelta = TimeDelta::hours(1);

/// The shortest span of a step that does not end with its day.
const SHORTEST_STEP: TimeDelta = TimeDelta::minutes(30);

/// The time between two looks at all businesses.
const INTERVAL: Duration = Duration::from_secs(60);

/// Keeps the figures of all businesses until it is dropped. Errors are logged and retried.
pub async fn run(database: &Database) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let businesses = tenants::all_businesses(database).await;
        let businesses = businesses.unwrap_or_else(|error| {
            tracing::warn!(%error, "the businesses cannot be listed");
            Vec::new()
        });
        for business in businesses {
            if let Err(error) = keep(database, business).await {
                tracing::warn!(%error, %business, "figures of sales were not kept; the next run retries");
            }
        }
    }
}

/// Keeps everything of a business that is old enough. Returns the number of steps that another step may follow.
///
/// # Errors
/// [`Error::DatabaseUnavailable`]; [`Error::Contention`].
pub async fn keep(database: &Database, business: BusinessId) -> Result<u32, Error> {
    let mut kept = 0;
    while retry(|| step(database, business)).await? {
        kept += 1;
    }
    Ok(kept)
}

/// Takes the next step. Returns false if there is none, or if another process takes it.
async fn step(database: &Database, business: BusinessId) -> Result<bool, Error> {
    let transaction = database.begin(business).await?;
    let clock = clock::of(&transaction, business).await?;
    let state = period::state(&transaction, business).await?;
    let goes_on = match state {
        None => begin(&transaction, business, &clock).await?,
        Some(state) if state.time_zone != clock.time_zone.to_string() => {
            begin_again(&transaction, business, &clock, &state).await?
        }
        Some(state) => next_span(&transaction, business, &clock, &state).await?,
    };
    transaction.commit().await?;
    Ok(goes_on)
}

/// The start of the day before the first order, from which figures are kept. `None` without orders. Opening items, whose
/// dates lie before, do not count.
async fn beginning(
    transaction: &Transaction,
    business: BusinessId,
    zone: TimeZone,
) -> Result<Option<DateTime<Utc>>, Error> {
    let opening = opening_items::Entity::of(business)
        .select_only()
        .column(opening_items::Column::OrderId)
        .filter(opening_items::Column::OrderId.is_not_null());
    // The order of ids is that of time, up to the difference of clocks.
    let first: Option<DateTime<Utc>> = orders::Entity::of(business)
        .select_only()
        .column(orders::Column::CreatedAt)
        .filter(orders::Column::Id.not_in_subquery(opening.into_query()))
        .order_by_asc(orders::Column::Id)
        .into_tuple()
        .one(transaction)
        .await?;
    let Some(first) = first else { return Ok(None) };
    Ok(Some(zone.start_of(zone.day_of(first) - Days::new(1))))
}

/// Begins to keep the figures of a business that has orders. Raw: the table of the state has no entity, since only this
/// file writes it.
async fn begin(
    transaction: &Transaction,
    business: BusinessId,
    clock: &Clock,
) -> Result<bool, Error> {
    let zone = clock.time_zone;
    let Some(first) = beginning(transaction, business, zone).await? else {
        return Ok(false);
    };
    let sql = "INSERT INTO sales_figures_state (business_id, time_zone, kept_until)
               VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let values = [business.0.into(), zone.to_string().into(), first.into()];
    transaction.execute_raw(statement(sql, values)).await?;
    Ok(true)
}

/// Begins again after a change of the time zone, whose days are others. Raw: the tables have no entity.
async fn begin_again(
    transaction: &Transaction,
    business: BusinessId,
    clock: &Clock,
    state: &State,
) -> Result<bool, Error> {
    let zone = clock.time_zone;
    let first = beginning(transaction, business, zone).await?;
    let sql = "UPDATE sales_figures_state SET time_zone = $2, kept_until = $3
                WHERE business_id = $1 AND time_zone = $4";
    let values = [
        business.0.into(),
        zone.to_string().into(),
        first.unwrap_or(state.kept_until).into(),
        state.time_zone.clone().into(),
    ];
    let changed = transaction.execute_raw(statement(sql, values)).await?;
    if changed.rows_affected() > 0 {
        let sql = "DELETE FROM sales_figures WHERE business_id = $1";
        transaction
            .execute_raw(statement(sql, [business.0.into()]))
            .await?;
    }
    Ok(true)
}

/// The statement that adds the events of a span to the figures of their day, for each kind. `$6` is the day.
///
/// Raw: an insert from sums over common table expressions, which adds to a row that is kept.
static ADDITIONS: LazyLock<[String; 3]> = LazyLock::new(|| {
    Kind::ALL.map(|kind| {
        let (events, kind) = (events(kind), kind.value());
        let added = COLUMNS
            .split(", ")
            .map(|column| format!("{column} = sales_figures.{column} + excluded.{column}"));
        let added = added.collect::<Vec<_>>().join(", ");
        format!(
            "
WITH {events}
INSERT INTO sales_figures (business_id, kind, span, starts_on, subject, {COLUMNS})
SELECT $1, '{kind}', 'day', $6, subject, {SUMS} FROM event GROUP BY subject ORDER BY subject
ON CONFLICT ON CONSTRAINT sales_figures_pkey DO UPDATE SET {added}"
        )
    })
});

/// The insert of a month's figures, from those of its days. `$2` is its first day, `$3` that of the next month.
///
/// Raw: an insert from sums.
static MONTH: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
INSERT INTO sales_figures (business_id, kind, span, starts_on, subject, {COLUMNS})
SELECT $1, kind, 'month', $2, subject, {SUMS} FROM sales_figures
 WHERE business_id = $1 AND kind IN ('product', 'customer', 'total') AND span = 'day' AND starts_on >= $2 AND starts_on < $3
 GROUP BY kind, subject"
    )
});

/// The spans differ too much in their numbers of rows for one generic plan.
const SETTINGS: &str = "SET LOCAL plan_cache_mode = 'force_custom_plan'";

async fn next_span(
    transaction: &Transaction,
    business: BusinessId,
    clock: &Clock,
    state: &State,
) -> Result<bool, Error> {
    let (zone, from) = (clock.time_zone, state.kept_until);
    let day = zone.day_of(from);
    let (end, latest) = (zone.start_of(day + Days::new(1)), exact(clock.now - GRACE));
    if latest < end && latest < from + SHORTEST_STEP {
        return Ok(false);
    }
    transaction.execute_unprepared(SETTINGS).await?;
    let next_event = events::next_event_at_earliest(transaction, business, from).await?;
    // The days before it are empty.
    let next_day = next_event.map_or(latest, |at| zone.start_of(zone.day_of(at)));
    let until = end.max(next_day).min(latest);
    let sql = "UPDATE sales_figures_state SET kept_until = $2
                WHERE business_id = $1 AND kept_until = $3 AND time_zone = $4";
    let moved: [Value; 4] = [
        business.0.into(),
        until.into(),
        from.into(),
        state.time_zone.clone().into(),
    ];
    let moved = transaction.execute_raw(statement(sql, moved)).await?;
    if moved.rows_affected() == 0 {
        return Ok(false);
    }
    if next_day < until {
        add(transaction, business, day, (from, until)).await?;
    }
    // Of the months that ended in the span, only the first can have figures.
    let month = day.with_day(1).unwrap_or(day);
    let next_month = month + Months::new(1);
    if zone.start_of(next_month) <= until {
        let values = [business.0.into(), month.into(), next_month.into()];
        transaction.execute_raw(statement(&MONTH, values)).await?;
    }
    Ok(until < latest)
}

/// Adds the events of a span to the figures of its day.
async fn add(
    transaction: &Transaction,
    business: BusinessId,
    day: NaiveDate,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), Error> {
    for addition in ADDITIONS.iter() {
        let mut all: Vec<Value> = vec![business.0.into()];
        all.extend(values(from, until));
        all.push(day.into());
        transaction.execute_raw(statement(addition, all)).await?;
    }
    Ok(())
}

fn statement(sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}
