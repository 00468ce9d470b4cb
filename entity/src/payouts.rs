//! Credit on account that was paid out to its customer. Append-only: a payout is undone by a reversal.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, CustomerId, Money, PayoutId, UserId};

/// One payout.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payouts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PayoutId,
    pub customer_id: CustomerId,
    /// The customer's ledger entry.
    pub entry_number: i64,
    pub amount: Money,
    /// How it was paid: cash, bank transfer, whatever the business calls it.
    pub method: String,
    pub reference: Option<String>,
    /// When it was paid, which may be before it was entered.
    pub paid_at: DateTimeUtc,
    pub created_by: UserId,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
