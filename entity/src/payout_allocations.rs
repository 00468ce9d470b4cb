//! Table `payout_allocations`: the credits that payouts use up. Append-only.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, CustomerId, Money, PayoutAllocationId};

/// The share of one credit in one payout.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payout_allocations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub customer_id: CustomerId,
    /// The number of the payout's ledger entry.
    #[sea_orm(primary_key, auto_increment = false)]
    pub payout_entry: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PayoutAllocationId,
    /// The number of the credit's ledger entry.
    pub credit_entry: i64,
    /// Negative in a row that returns the share to the credit.
    pub amount: Money,
    /// The instant from which it counts: the payout's date, or when the share was returned or taken over by another
    /// credit.
    pub effective_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
    #[sea_orm(
        belongs_to,
        from = "(business_id, customer_id, credit_entry)",
        to = "(business_id, customer_id, number)"
    )]
    pub credit: BelongsTo<super::ledger_entries::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
