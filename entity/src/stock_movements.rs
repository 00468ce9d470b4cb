//! Every change of stock that is not a sale. Append-only.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{BusinessId, MovementId, OrderId, ProductId, UserId};

/// Why stock changed by hand.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Received,
    Damaged,
    Lost,
    Found,
    Stocktake,
    Returned,
    Correction,
}

/// One change of a product's count on hand.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stock_movements")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub product_id: ProductId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MovementId,
    /// What was added; negative when stock left the shelf.
    pub quantity: i64,
    pub on_hand_after: i64,
    pub reason: Reason,
    pub note: Option<String>,
    /// Where goods came back from.
    pub order_id: Option<OrderId>,
    pub actor_id: UserId,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
