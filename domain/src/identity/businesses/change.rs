//! Reading and changing the caller's own business.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use entity::{BusinessId, Money, TimeZone, businesses};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use super::{audit_snapshot, read};
use crate::audit::{self, Action, Change};
use crate::foundation::clock;
use crate::foundation::error::DateFault;
use crate::foundation::locks;
use crate::foundation::retry::retry;
use crate::{Caller, Database, Error, Transaction};

/// The caller's business.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn of_caller(database: &Database, caller: &Caller) -> Result<businesses::Model, Error> {
    with_id(database, caller.business_id).await
}

/// The business with this id, as it is now.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn with_id(database: &Database, id: BusinessId) -> Result<businesses::Model, Error> {
    let transaction = database.begin_read(id).await?;
    let business = read(&transaction, id).await?;
    transaction.commit().await?;
    Ok(business)
}

/// Changes to a business. `None` keeps a value.
#[derive(Debug, Clone, Default)]
pub struct BusinessChange {
    /// The name on documents.
    pub name: Option<String>,
    /// Blocks purchases of customers with an order past due for more than this many days; `Some(None)` blocks none.
    pub block_after_days: Option<Option<i32>>,
    /// The time zone of calendar days, for orders and reports from now on. Due dates that are already set stay at the
    /// same moment.
    pub time_zone: Option<TimeZone>,
    /// The first open day; `Some(None)` opens all. It may be moved back: the audit entry says who did it.
    pub books_closed_until: Option<Option<NaiveDate>>,
    /// Bounds on what one customer may hold at once.
    pub hold_limits: HoldLimitsChange,
}

/// Changes to the bounds on what one customer may hold at once. `None` keeps a bound; `Some(None)` removes it.
#[derive(Debug, Clone, Default)]
pub struct HoldLimitsChange {
    /// Units.
    pub units: Option<Option<i64>>,
    /// The value of the units.
    pub value: Option<Option<Money>>,
    /// Units, for customers who registered themselves.
    pub self_registered_units: Option<Option<i64>>,
    /// The value of the units, for customers who registered themselves.
    pub self_registered_value: Option<Option<Money>>,
}

impl HoldLimitsChange {
    fn apply(&self, row: &mut businesses::ActiveModel) {
        if let Some(units) = self.units {
            row.hold_limit_units = Set(units);
        }
        if let Some(value) = self.value {
            row.hold_limit_value = Set(value);
        }
        if let Some(units) = self.self_registered_units {
            row.self_registered_hold_limit_units = Set(units);
        }
        if let Some(value) = self.self_registered_value {
            row.self_registered_hold_limit_value = Set(value);
        }
    }
}

/// How long ago a day must have begun before the previous days can be closed. Sales are dated without reading the
/// closing date; a sale dated before midnight has committed by then.
const SETTLED_AFTER: TimeDelta = TimeDelta::minutes(1);

/// Changes the caller's business. Slug and currency never change, because links and documents depend on them.
///
/// Locks the business. Every write that dates a document shares this lock, so none runs while a period is closed.
///
/// # Errors
/// [`Error::ImpossibleDate`] when the first open day would be after today, or before 1970.
pub async fn change(
    database: &Database,
    caller: &Caller,
    change: &BusinessChange,
) -> Result<businesses::Model, Error> {
    retry(|| async {
        let transaction = database.begin(caller.business_id).await?;
        let business = locks::business(&transaction, caller.business_id)
            .await?
            .ok_or_else(|| Error::Bug(format!("business {} does not exist", caller.business_id)))?;
        let before = audit_snapshot(&business);
        let mut row = business.clone().into_active_model();
        if let Some(name) = &change.name {
            row.name = Set(name.clone());
        }
        if let Some(days) = change.block_after_days {
            row.block_after_days = Set(days);
        }
        if let Some(zone) = change.time_zone {
            row.time_zone = Set(zone);
        }
        if let Some(date) = change.books_closed_until {
            row.books_closed_until = Set(date);
        }
        change.hold_limits.apply(&mut row);
        if !row.is_changed() {
            return Ok(business);
        }
        let zone = change.time_zone.unwrap_or(business.time_zone);
        let closing = change
            .books_closed_until
            .unwrap_or(business.books_closed_until);
        if let Some(date) = closing {
            check_closing_date(&transaction, business.id, zone, date)
                .await?
                .map_or(Ok(()), |fault| {
                    let field = match change.books_closed_until {
                        Some(_) => "books_closed_until",
                        None => "time_zone",
                    };
                    Err(Error::ImpossibleDate { field, fault })
                })?;
        }
        let business = row.update(&transaction).await?;
        let event = Change {
            action: Action::BusinessChanged,
            entity_type: "business",
            entity_id: business.id.0,
            before: Some(before),
            after: audit_snapshot(&business),
        };
        audit::record(&transaction, caller, event).await?;
        transaction.commit().await?;
        Ok(business)
    })
    .await
}

/// Today's entries could not be dated if the first open day were tomorrow. A change of the time zone can turn today
/// into tomorrow, so this is checked after each change.
async fn check_closing_date(
    transaction: &Transaction,
    business: BusinessId,
    zone: TimeZone,
    date: NaiveDate,
) -> Result<Option<DateFault>, Error> {
    let clock = clock::of(transaction, business).await?;
    let today = zone.day_of(clock.now - SETTLED_AFTER);
    Ok(if date > today {
        Some(DateFault::AfterToday { today, zone })
    } else if date < DateTime::<Utc>::UNIX_EPOCH.date_naive() {
        Some(DateFault::Before1970)
    } else {
        None
    })
}
