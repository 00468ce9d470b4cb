//! Tenants.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, Currency, TimeZone};

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
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
