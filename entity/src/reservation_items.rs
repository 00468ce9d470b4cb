//! Table `reservation_items`: what reservations hold or wait for.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, Money, ProductId, ReservationId};

/// One product of a reservation, at the price of the time at which it was made.
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
    /// The position in the reservation, from 0.
    pub line: i32,
    pub quantity: i64,
    pub unit_price: Money,
    /// Whether the quantity counts in the product's `reserved`.
    pub held: bool,
    /// The position in the product's waitlist; `None` when the item does not wait.
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
