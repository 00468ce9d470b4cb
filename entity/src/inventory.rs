//! What is on the shelf.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, ProductId};

/// The most of a product that may be on hand, far below what JSON readers keep exactly (2^53). A return is never refused
/// for it.
pub const MAX_ON_HAND: i64 = 1_000_000_000_000;

/// The stock of one product. Locked (`FOR NO KEY UPDATE`) by whatever changes it; second in the lock order.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "inventory")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub product_id: ProductId,
    pub on_hand: i64,
    /// What held items come to, those too that have expired and that nobody has looked at since.
    pub reserved: i64,
    /// How many stand in line for it, likewise.
    pub waiting: i64,
    /// The newest place in that line.
    pub places_given: i64,
    pub updated_at: DateTimeUtc,
    #[sea_orm(
        belongs_to,
        from = "(business_id, product_id)",
        to = "(business_id, id)"
    )]
    pub product: BelongsTo<super::products::Entity>,
}

impl Model {
    /// What a newcomer could buy now.
    #[must_use]
    pub fn available(&self) -> i64 {
        available(self.on_hand, self.reserved, self.waiting)
    }
}

/// What of a product's stock a newcomer can have: nothing while someone waits for it, otherwise what nobody holds. The one
/// definition of `available`; `domain/src/inventory/level.rs` has it in SQL.
#[must_use]
pub fn available(on_hand: i64, reserved: i64, waiting: i64) -> i64 {
    if waiting > 0 { 0 } else { on_hand - reserved }
}

impl ActiveModelBehavior for ActiveModel {}
