//! Table `opening_items`: documents from before a business used the service. Append-only.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, CustomerId, Money, OrderId, PaymentId};

/// An imported document. It has an order if the customer owed it, and a payment if they had paid it ahead.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "opening_items")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub customer_id: CustomerId,
    /// The number of the document. Each customer has it once.
    #[sea_orm(primary_key, auto_increment = false)]
    pub reference: String,
    /// The amount owed; negative when it was paid ahead.
    pub amount: Money,
    pub order_id: Option<OrderId>,
    pub payment_id: Option<PaymentId>,
    /// When it was imported.
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
