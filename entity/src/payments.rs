//! Money received. Append-only: a bounced payment is undone by a reversal.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, CustomerId, Money, PaymentId, UserId};

/// One payment.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payments")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PaymentId,
    pub customer_id: CustomerId,
    /// The customer's ledger entry.
    pub entry_number: i64,
    pub amount: Money,
    /// How it came: cash, bank transfer, whatever the business calls it.
    pub method: String,
    pub reference: Option<String>,
    /// When the money came, which may be before it was entered.
    pub received_at: DateTimeUtc,
    pub created_by: UserId,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
