//! Payments by card that their buyers dispute, as the payment provider has them.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{BusinessId, DisputeId, Money, OrderId};

/// Where a dispute stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = DisputeStatus)]
pub enum Status {
    /// The provider waits for evidence.
    NeedsResponse,
    /// The evidence is being judged.
    UnderReview,
    /// The business keeps the money.
    Won,
    /// The buyer keeps the money.
    Lost,
    /// It ended without a judgement, and no money moved.
    Closed,
}

impl Status {
    /// Whether it is not decided yet.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::NeedsResponse | Self::UnderReview => true,
            Self::Won | Self::Lost | Self::Closed => false,
        }
    }
}

/// A dispute. Changed under its order's lock.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "disputes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DisputeId,
    pub order_id: OrderId,
    pub provider: String,
    /// The provider's id of it.
    pub provider_id: String,
    pub amount: Money,
    /// The provider's word for it.
    pub reason: String,
    pub status: Status,
    /// Until when the provider takes evidence; null when it takes none.
    pub evidence_due_at: Option<DateTimeUtc>,
    /// Whether the provider has taken the money back for now.
    pub funds_withdrawn: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
