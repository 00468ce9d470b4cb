//! Money that was paid by card and is given back.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{BusinessId, Money, OrderId, RefundId, UserId};

/// Where a refund stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = RefundStatus)]
pub enum Status {
    /// The provider is to be asked for it; whether it was is not known.
    Requested,
    /// The provider is at it.
    Pending,
    /// The money is given back.
    Succeeded,
    /// The provider did not give it back: it counts no more.
    Failed,
}

/// A refund. Changed under its order's lock.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refunds")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RefundId,
    pub order_id: OrderId,
    /// 0 for goods that come back when no money is left of their order: the provider is not asked for it.
    pub amount: Money,
    pub status: Status,
    pub reason: String,
    /// Whether its items went back to the shelf.
    pub restock: bool,
    /// Made at the provider, and told by it.
    pub by_hand: bool,
    /// The provider's id of it.
    pub provider_id: Option<String>,
    /// What the provider said when it did not go well.
    pub failure: Option<String>,
    /// When something is to be asked of the provider, again or at last.
    pub next_try_at: Option<DateTimeUtc>,
    /// How often it was asked in vain.
    pub tries: i32,
    pub created_by: UserId,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
