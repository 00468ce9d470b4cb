//! Table `disputes`: card payments that their buyers dispute, as reported by the payment provider.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{BusinessId, DisputeId, Money, OrderId};

/// The status of a dispute.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = DisputeStatus)]
pub enum Status {
    /// The provider waits for evidence.
    NeedsResponse,
    /// The provider reviews the evidence.
    UnderReview,
    /// The business keeps the money.
    Won,
    /// The buyer keeps the money.
    Lost,
    /// The dispute ended without a decision, and no money moved.
    Closed,
}

impl Status {
    /// True until the dispute is decided or closed.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::NeedsResponse | Self::UnderReview => true,
            Self::Won | Self::Lost | Self::Closed => false,
        }
    }
}

/// A dispute. Changes need the lock of its order.
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
    /// The provider's id of the dispute.
    pub provider_id: String,
    pub amount: Money,
    /// The reason, as the provider names it.
    pub reason: String,
    pub status: Status,
    /// The provider's deadline for evidence; null when it accepts none.
    pub evidence_due_at: Option<DateTimeUtc>,
    /// Whether the provider has withdrawn the money for the time being.
    pub funds_withdrawn: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
