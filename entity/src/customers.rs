//! Who buys on credit, and how much of it is left.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, CustomerId, Money};

/// A customer. Locked (`FOR UPDATE`) by whatever changes the balance; first in the lock order.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "customers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CustomerId,
    pub name: String,
    pub email: Option<String>,
    pub credit_limit: Money,
    /// The sum of the ledger entries: what the customer owes.
    pub balance: Money,
    /// The number of the newest ledger entry.
    pub entry_count: i64,
    /// Of the credits that it has been given, what has settled no order yet. The balance is what is due less this.
    pub on_account: Money,
    pub on_hold: bool,
    pub payment_terms_days: i32,
    /// Whether the customer made this record itself.
    pub self_registered: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

impl Model {
    /// What the customer may still buy on credit. Negative when the limit was lowered below the balance.
    #[must_use]
    pub fn available_credit(&self) -> Money {
        self.credit_limit - self.balance
    }
}

impl ActiveModelBehavior for ActiveModel {}
