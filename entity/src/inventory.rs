//! Table `inventory`: the stock level of each product.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, ProductId};

/// The highest `on_hand` of a product, far below the largest integer that JSON readers keep exactly (2^53). A return is
/// never rejected because of it.
pub const MAX_ON_HAND: i64 = 1_000_000_000_000;

/// The stock level of one product. Every change locks the row (`FOR NO KEY UPDATE`). Second in the lock order.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "inventory")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub product_id: ProductId,
    pub on_hand: i64,
    /// The sum of the held items. Includes expired items that no transaction has released yet.
    pub reserved: i64,
    /// The number of positions in the product's waitlist. Includes expired positions that no transaction has removed
    /// yet.
    pub waiting: i64,
    /// The number of the newest position in the waitlist.
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
    /// The quantity that a new buyer could purchase now.
    #[must_use]
    pub fn available(&self) -> i64 {
        available(self.on_hand, self.reserved, self.waiting)
    }
}

/// The quantity of a product that a new buyer can have: 0 while the waitlist is not empty, otherwise what nobody holds.
///
/// This is the one definition of `available`. Its twin in SQL is `domain/src/stock/inventory/level.rs`.
#[must_use]
pub fn available(on_hand: i64, reserved: i64, waiting: i64) -> i64 {
    if waiting > 0 { 0 } else { on_hand - reserved }
}

impl ActiveModelBehavior for ActiveModel {}
