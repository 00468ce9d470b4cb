//! Table `provider_events`: the payment provider's events, each recorded once. Append-only.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, OrderId};

/// One event of the payment provider.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "provider_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub provider: String,
    /// The provider's id of the event.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: String,
    pub kind: String,
    pub order_id: OrderId,
    pub received_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
