//! Table `ledger_entries`: the entries of customers' accounts. Append-only.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{BusinessId, CustomerId, LedgerEntryId, Money, OrderId};

/// The kind of a ledger entry, which decides how it changes the balance.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = EntryKind)]
pub enum Kind {
    /// A sale on credit, which raises the balance.
    Charge,
    /// Money received, which lowers the balance.
    Payment,
    /// Undoes an earlier entry.
    Reversal,
    /// Lowers the balance without money.
    CreditNote,
    /// Gives up an amount that is owed, which lowers the balance.
    WriteOff,
    /// Credit on account paid out to the customer, which raises the balance.
    Payout,
}

/// One ledger entry.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ledger_entries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub customer_id: CustomerId,
    /// Counts from 1 per customer, without a gap. Each balance follows from the one before in this order.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    pub id: LedgerEntryId,
    pub kind: Kind,
    /// Signed: the change of the balance.
    pub amount: Money,
    pub balance_after: Money,
    pub order_id: Option<OrderId>,
    /// The instant from which it counts. For a payment, it may be earlier than `created_at`.
    pub effective_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
