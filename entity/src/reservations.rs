//! Stock held for customers, and places in line for some.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{BusinessId, CustomerId, OrderId, ReservationId, UserId};

/// Where a reservation stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = ReservationStatus)]
pub enum Status {
    /// In line for stock that others hold.
    Waiting,
    /// Its stock is held.
    Active,
    /// It became an order.
    Confirmed,
    /// Given up.
    Cancelled,
    /// Its time passed.
    Expired,
    /// It waited for what can not come free any more.
    SoldOut,
}

/// Why a reservation is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = ReservationCancelReason)]
pub enum CancelReason {
    /// Its customer or the staff gave it up.
    Requested,
    /// It waited for a product that was taken off sale.
    ProductInactive,
}

/// A reservation. Changed under its customer's lock, or under those of its products by who finds it expired, served or
/// sold out.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reservations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ReservationId,
    pub customer_id: CustomerId,
    /// As it was last written: see [`Status::at`].
    pub status: Status,
    /// For how long stock is held, from the moment that it is.
    pub ttl_seconds: i32,
    pub expires_at: DateTimeUtc,
    /// What it became.
    pub order_id: Option<OrderId>,
    /// Why it is cancelled; `None` stands for [`CancelReason::Requested`] too.
    pub cancel_reason: Option<CancelReason>,
    pub created_by: UserId,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    #[sea_orm(has_many)]
    pub reservation_items: HasMany<super::reservation_items::Entity>,
}

impl Status {
    /// What a reservation is that was last written as this, and that expires or expired then.
    #[must_use]
    pub fn at(self, now: DateTimeUtc, expires_at: DateTimeUtc) -> Self {
        match self {
            Self::Waiting | Self::Active if expires_at <= now => Self::Expired,
            other => other,
        }
    }
}

impl ActiveModelBehavior for ActiveModel {}
