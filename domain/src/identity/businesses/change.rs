//! What a business's own callers see and change of it.

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
    let transaction = database.begin_read(caller.business_id).await?;
    let business = read(&transaction, caller.business_id).await?;
    transaction.commit().await?;
    Ok(business)
}

/// What of a business changes. `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct BusinessChange {
    /// The name on documents.
    pub name: Option<String>,
    /// Purchases are stopped of customers with an order that is due for longer; `Some(None)` stops none.
    pub block_after_days: Option<Option<i32>>,
    /// The time zone of its days, for orders and reports from now on. What is due is due at the same moment as before.
    pub time_zone: Option<TimeZone>,
    /// The first day that is open; `Some(None)` opens everything. It may be moved back: the trail says who did.
    pub books_closed_until: Option<Option<NaiveDate>>,
    /// What one customer may hold at once.
    pub hold_limits: HoldLimitsChange,
}

/// Which bounds on what one customer may hold at once change. `None` leaves one as it is; `Some(None)` takes it away.
#[derive(Debug, Clone, Default)]
pub struct HoldLimitsChange {
    /// In units.
    pub units: Option<Option<i64>>,
    /// In what these are worth.
    pub value: Option<Option<Money>>,
    /// In units, for those who registered themselves.
    pub self_registered_units: Option<Option<i64>>,
    /// In what these are worth, for those who registered themselves.
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

/// How long ago a day must have begun for the days before it to be closed. Sales are dated without a look at the books;
/// one that read the clock before midnight is committed by then.
const SETTLED_AFTER: TimeDelta = TimeDelta::minutes(1);

/// Changes the caller's business. Slug and currency never change: links and documents rest on them.
///
/// Books are closed while nobody writes a document: whoever dates one shares the lock on this row.
///
/// # Errors
/// [`Error::ImpossibleDate`] when the books would be closed until a day after today, or before 1970.
pub async fn change(
    database: &Database,
    caller: &Caller,
    change: &BusinessChange,
) -> Result<businesses::Model, Error> {
    retry(|| async {
        let transaction = database.begin(caller.business_id).await?;
        let business = locks::business(&transaction, caller.business_id)
            .await?
            .ok_or_else(|| Error::Bug(format!("business {} is not there", caller.business_id)))?;
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

/// Today's entries could not be dated if the books were closed until tomorrow. A change of the time zone can make
/// tomorrow of what was today, so it is checked after each change.
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
