//! Table `payments`: money received. Append-only: a reversal undoes a bounced payment.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, CustomerId, Metadata, Money, PaymentId, UserId};

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
    /// The number of its entry in the customer's ledger.
    pub entry_number: i64,
    pub amount: Money,
    /// Free text of the business, such as cash or bank transfer.
    pub method: String,
    pub reference: Option<String>,
    pub metadata: Option<Metadata>,
    /// When the money arrived. It may be earlier than `created_at`.
    pub received_at: DateTimeUtc,
    pub created_by: UserId,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
