//! Table `refunds`: card payments that are returned, wholly or in part.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{BusinessId, Money, OrderId, RefundId, UserId};

/// The status of a refund.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = RefundStatus)]
pub enum Status {
    /// The provider is to be asked for the refund. Whether it was asked is not known.
    Requested,
    /// The provider processes the refund.
    Pending,
    /// The money was returned.
    Succeeded,
    /// The provider did not return the money. The refund no longer counts.
    Failed,
}

/// A refund. Changes need the lock of its order.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refunds")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RefundId,
    pub order_id: OrderId,
    /// 0 for goods that are returned when no money of their order is left. The provider is then not asked.
    pub amount: Money,
    pub status: Status,
    pub reason: String,
    /// Whether its items were restocked.
    pub restock: bool,
    /// True for a refund that was made at the provider and reported by it.
    pub by_hand: bool,
    /// The provider's id of the refund; null until the provider has returned one.
    pub provider_id: Option<String>,
    /// The provider's message of the last failure.
    pub failure: Option<String>,
    /// When the payment worker asks the provider next; null when nothing is left to ask.
    pub next_try_at: Option<DateTimeUtc>,
    /// The number of failed attempts.
    pub tries: i32,
    pub created_by: UserId,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
