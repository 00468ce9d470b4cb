//! Table `reversals`: ledger entries that undo earlier ones. An entry is undone at most once. Append-only.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, CustomerId, UserId};

/// One reversal.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reversals")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub customer_id: CustomerId,
    #[sea_orm(primary_key, auto_increment = false)]
    /// The number of the ledger entry that undoes.
    pub entry_number: i64,
    /// The number of the ledger entry that is undone.
    pub reverses: i64,
    pub reason: String,
    pub created_by: UserId,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
