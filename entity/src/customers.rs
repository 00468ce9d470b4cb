//! Table `customers`: the buyers on credit, with their credit limits and balances.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, CustomerAddresses, CustomerId, Metadata, Money};

/// A customer. Every change of the balance locks the row (`FOR UPDATE`). First in the lock order.
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
    /// The customer's number in the books of the business. Unique in the business.
    pub reference: Option<String>,
    /// The person to talk to.
    pub contact: Option<String>,
    pub phone: Option<String>,
    pub vat_number: Option<String>,
    pub addresses: Option<CustomerAddresses>,
    pub metadata: Option<Metadata>,
    pub credit_limit: Money,
    /// The customer's debt: the sum of the ledger entries. Negative when the customer has paid ahead.
    pub balance: Money,
    /// The number of the newest ledger entry.
    pub entry_count: i64,
    /// The sum of the customer's credits that have settled no order yet. The balance is the amount due less this sum.
    pub on_account: Money,
    pub on_hold: bool,
    pub payment_terms_days: i32,
    /// Whether the customer registered themselves.
    pub self_registered: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

impl Model {
    /// The amount that the customer may still buy on credit. Negative when the limit was lowered below the balance.
    #[must_use]
    pub fn available_credit(&self) -> Money {
        self.credit_limit - self.balance
    }
}

impl ActiveModelBehavior for ActiveModel {}
