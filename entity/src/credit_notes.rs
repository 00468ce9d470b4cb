//! Table `credit_notes`: amounts of orders that customers no longer owe. Append-only.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, CreditNoteId, CustomerId, Money, OrderId, UserId};

/// One credit note.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credit_notes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CreditNoteId,
    pub customer_id: CustomerId,
    /// The number of its entry in the customer's ledger.
    pub entry_number: i64,
    pub order_id: OrderId,
    /// 0 for goods that are returned when nothing of their order is left to credit.
    pub amount: Money,
    pub reason: String,
    /// Whether its items were restocked.
    pub restock: bool,
    pub created_by: UserId,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
