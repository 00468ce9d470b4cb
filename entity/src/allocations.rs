//! Which orders a credit settles. Append-only: what is undone has a second row, which is negative.

use sea_orm::entity::prelude::*;

use crate::{AllocationId, BusinessId, CustomerId, Money, OrderId};

/// A credit's share in settling an order.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "allocations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: OrderId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AllocationId,
    pub customer_id: CustomerId,
    /// The ledger entry of the credit.
    pub entry_number: i64,
    /// Negative where an allocation is undone.
    pub amount: Money,
    /// When it counts: never before the credit or the order was there.
    pub effective_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
