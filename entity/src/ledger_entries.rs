//! A customer's account, entry by entry. Append-only.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{BusinessId, CustomerId, LedgerEntryId, Money, OrderId};

/// What an entry does to the balance.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = EntryKind)]
pub enum Kind {
    /// A sale on credit raises it.
    Charge,
    /// Money received lowers it.
    Payment,
    /// Undoes an earlier entry.
    Reversal,
    /// Lowers it without money.
    CreditNote,
    /// Gives up what is owed.
    WriteOff,
    /// Credit on account paid out to the customer raises it.
    Payout,
}

/// One entry.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ledger_entries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub customer_id: CustomerId,
    /// Counted per customer from 1, without a gap: the order in which each balance follows from the one before.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    pub id: LedgerEntryId,
    pub kind: Kind,
    /// Signed: what it adds to the balance.
    pub amount: Money,
    pub balance_after: Money,
    pub order_id: Option<OrderId>,
    /// When it counts, which for a payment may be before it was entered.
    pub effective_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
