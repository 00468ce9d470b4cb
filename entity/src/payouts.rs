//! Table `payouts`: credit on account that was paid out to customers. Append-only: a reversal undoes a payout.

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
    /// The number of its entry in the customer's ledger.
    pub entry_number: i64,
    pub amount: Money,
    /// Free text of the business, such as cash or bank transfer.
    pub method: String,
    pub reference: Option<String>,
    /// When the payout was made. It may be earlier than `created_at`.
    pub paid_at: DateTimeUtc,
    pub created_by: UserId,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
