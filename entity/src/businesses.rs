//! Table `businesses`: the tenants.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, Currency, Money, TimeZone};

/// A business. Its slug and its currency never change, since documents and links depend on them.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "businesses")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BusinessId,
    pub slug: String,
    pub name: String,
    pub currency: Currency,
    /// In days. Rejects purchases of a customer with an order that is overdue for longer. `None` rejects none.
    pub block_after_days: Option<i32>,
    /// Due dates, aging and reports by date use the days of this time zone.
    pub time_zone: TimeZone,
    /// The first open day: nothing is dated before it. `None` leaves all days open.
    pub books_closed_until: Option<Date>,
    /// The most units that one customer may hold at once. `None` means no limit, as in the next three columns.
    pub hold_limit_units: Option<i64>,
    /// The highest value of all that one customer holds.
    pub hold_limit_value: Option<Money>,
    /// A further limit for customers who registered themselves, in addition to `hold_limit_units`.
    pub self_registered_hold_limit_units: Option<i64>,
    /// A further limit for customers who registered themselves, in addition to `hold_limit_value`.
    pub self_registered_hold_limit_value: Option<Money>,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
