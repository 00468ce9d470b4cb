//! Table `order_items`: the lines of orders. Append-only.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, Money, OrderId, ProductId};

/// One product of an order, with its data at the time of sale.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "order_items")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: OrderId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub product_id: ProductId,
    /// The position in the order, from 0.
    pub line: i32,
    pub sku: String,
    pub name: String,
    pub quantity: i64,
    pub unit_price: Money,
    pub line_total: Money,
    /// The product's `on_hand` after the line, where the line is its own stock movement. `None` in an order by card:
    /// its stock is held first, and leaves with a separate movement when the order is paid.
    pub on_hand_after: Option<i64>,
    #[sea_orm(belongs_to, from = "(business_id, order_id)", to = "(business_id, id)")]
    pub order: BelongsTo<super::orders::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
