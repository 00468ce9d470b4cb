//! Table `reservations`: stock held for customers, and positions in waitlists.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{BusinessId, CustomerId, OrderId, ReservationId, UserId};

/// The status of a reservation.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = ReservationStatus)]
pub enum Status {
    /// In the waitlist, for stock that others hold.
    Waiting,
    /// Its stock is held.
    Active,
    /// It became an order.
    Confirmed,
    /// It was cancelled.
    Cancelled,
    /// Its time passed.
    Expired,
    /// The stock that it waited for can no longer be released.
    SoldOut,
}

/// Why a reservation was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = ReservationCancelReason)]
pub enum CancelReason {
    /// Its customer or the staff cancelled it.
    Requested,
    /// It waited for a product that became inactive.
    ProductInactive,
}

/// A reservation. Changes need its customer's lock, or its products' locks when it is found expired, allocated or sold
/// out.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reservations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ReservationId,
    pub customer_id: CustomerId,
    /// The status as last written; [`Status::at`] takes the expiry into account.
    pub status: Status,
    /// The duration of the hold, in seconds from its start.
    pub ttl_seconds: i32,
    pub expires_at: DateTimeUtc,
    /// The order that the reservation became; `None` unless confirmed.
    pub order_id: Option<OrderId>,
    /// Why it was cancelled. In a cancelled reservation, `None` also means [`CancelReason::Requested`].
    pub cancel_reason: Option<CancelReason>,
    pub created_by: UserId,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    #[sea_orm(has_many)]
    pub reservation_items: HasMany<super::reservation_items::Entity>,
}

impl Status {
    /// The effective status at `now`, given the stored status and the time of expiry.
    #[must_use]
    pub fn at(self, now: DateTimeUtc, expires_at: DateTimeUtc) -> Self {
        match self {
            Self::Waiting | Self::Active if expires_at <= now => Self::Expired,
            other => other,
        }
    }
}

impl ActiveModelBehavior for ActiveModel {}
