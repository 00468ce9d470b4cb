//! Table `write_offs`: owed amounts that a business has given up. Append-only.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, CustomerId, Money, OrderId, UserId, WriteOffId};

/// One write-off.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_offs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WriteOffId,
    pub customer_id: CustomerId,
    /// The number of its entry in the customer's ledger.
    pub entry_number: i64,
    pub order_id: OrderId,
    pub amount: Money,
    pub reason: String,
    pub created_by: UserId,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
