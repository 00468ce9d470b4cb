//! Table `order_transitions`: the changes of each order's status after its first. Append-only.

use sea_orm::entity::prelude::*;

use crate::orders::Status;
use crate::{BusinessId, OrderId, UserId};

/// One change of status.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "order_transitions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: OrderId,
    /// Counts from 1 per order.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i32,
    pub from_status: Status,
    pub to_status: Status,
    pub actor_id: UserId,
    /// The role in which the actor acted, or `system` for the service itself.
    pub actor_role: String,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
