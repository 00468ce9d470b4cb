//! What reservations hold, or wait for.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, Money, ProductId, ReservationId};

/// One product of a reservation, at the price of the moment when it was made.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reservation_items")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub reservation_id: ReservationId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub product_id: ProductId,
    /// The line's place in the reservation, from 0.
    pub line: i32,
    pub quantity: i64,
    pub unit_price: Money,
    /// Counts in the product's `reserved`.
    pub held: bool,
    /// In the product's line, while it waits.
    pub place: Option<i64>,
    pub expires_at: DateTimeUtc,
    #[sea_orm(
        belongs_to,
        from = "(business_id, reservation_id)",
        to = "(business_id, id)"
    )]
    pub reservation: BelongsTo<super::reservations::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
