//! Table `allocations`: the orders that each credit settles. Append-only: a second, negative row undoes an allocation.

use sea_orm::entity::prelude::*;

use crate::{AllocationId, BusinessId, CustomerId, Money, OrderId};

/// The share of one credit in the settlement of one order.
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
    /// The number of the credit's ledger entry.
    pub entry_number: i64,
    /// Negative in a row that undoes an allocation.
    pub amount: Money,
    /// The instant from which it counts. Never before the credit or the order existed.
    pub effective_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
    #[sea_orm(
        belongs_to,
        from = "(business_id, customer_id, entry_number)",
        to = "(business_id, customer_id, number)"
    )]
    pub credit: BelongsTo<super::ledger_entries::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
