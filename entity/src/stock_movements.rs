//! Table `stock_movements`: every change of `on_hand` or `reserved` that is not a sale on credit. Append-only.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{BusinessId, MovementId, OrderId, ProductId, ReservationId, UserId};

/// Why stock changed.
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
    /// Held for a customer: `reserved` rises, `on_hand` stays.
    Reserved,
    /// No longer held, because it was bought, cancelled or expired.
    Released,
    /// Paid by card. For a sale on credit, the order line is the movement.
    Sold,
}

/// Why staff correct a stock level.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum CorrectionReason {
    Received,
    Damaged,
    Lost,
    Found,
    Stocktake,
    Returned,
    Correction,
}

impl From<CorrectionReason> for Reason {
    fn from(reason: CorrectionReason) -> Self {
        match reason {
            CorrectionReason::Received => Self::Received,
            CorrectionReason::Damaged => Self::Damaged,
            CorrectionReason::Lost => Self::Lost,
            CorrectionReason::Found => Self::Found,
            CorrectionReason::Stocktake => Self::Stocktake,
            CorrectionReason::Returned => Self::Returned,
            CorrectionReason::Correction => Self::Correction,
        }
    }
}

/// One change of a product's stock level.
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
    /// The change of `on_hand`; negative when stock left.
    pub quantity: i64,
    pub on_hand_after: i64,
    pub reason: Reason,
    pub note: Option<String>,
    /// The change of `reserved`.
    pub reserved: i64,
    /// The order that took or returned the goods, or that the reservation became.
    pub order_id: Option<OrderId>,
    /// The reservation whose stock was held or released.
    pub reservation_id: Option<ReservationId>,
    pub actor_id: UserId,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
