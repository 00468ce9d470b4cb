//! Tenants.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, Currency, Money, TimeZone};

/// A business. Its slug and its currency never change: documents and links rest on them.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "businesses")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BusinessId,
    pub slug: String,
    pub name: String,
    pub currency: Currency,
    /// Stops purchases of customers with an order that is due for longer. `None` stops none.
    pub block_after_days: Option<i32>,
    /// Whose days due dates, aging and reports by date follow.
    pub time_zone: TimeZone,
    /// The first day that is open: nothing is dated before it. `None` leaves everything open.
    pub books_closed_until: Option<Date>,
    /// The most units that one customer may hold at once. `None` is no bound, as with the next three.
    pub hold_limit_units: Option<i64>,
    /// The most that what one customer holds may be worth.
    pub hold_limit_value: Option<Money>,
    /// Bounds those who registered themselves, beside `hold_limit_units`.
    pub self_registered_hold_limit_units: Option<i64>,
    /// Bounds those who registered themselves, beside `hold_limit_value`.
    pub self_registered_hold_limit_value: Option<Money>,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
