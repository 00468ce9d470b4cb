//! What customers need not pay of an order. Append-only.

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
    /// The customer's ledger entry.
    pub entry_number: i64,
    pub order_id: OrderId,
    /// 0 for goods that come back when no money is left of their order.
    pub amount: Money,
    pub reason: String,
    /// Whether its items went back to the shelf.
    pub restock: bool,
    pub created_by: UserId,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
