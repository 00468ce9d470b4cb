//! Table `credits_on_account`: the unused parts of credits, for later purchases. A used-up credit has no row.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, CustomerId, Money};

/// The unused part of one credit.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credits_on_account")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub customer_id: CustomerId,
    #[sea_orm(primary_key, auto_increment = false)]
    /// The number of the credit's ledger entry.
    pub entry_number: i64,
    pub amount: Money,
}

impl ActiveModelBehavior for ActiveModel {}
