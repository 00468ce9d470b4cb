//! Which credits payouts use up. Append-only.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, CustomerId, Money, PayoutAllocationId};

/// A credit's share in covering a payout.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payout_allocations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub customer_id: CustomerId,
    /// The payout's ledger entry.
    #[sea_orm(primary_key, auto_increment = false)]
    pub payout_entry: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PayoutAllocationId,
    /// The credit's ledger entry.
    pub credit_entry: i64,
    /// Negative where the credit is given back.
    pub amount: Money,
    /// When it counts: the payout's date, or when the share was given back or taken over by another credit.
    pub effective_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
