//! Seals on the audit trail. Append-only.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, EventId};

/// One link of a business's chain: about the entries after those of the seal before.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_seals")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    /// Its place in the chain, from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    /// The last of its entries.
    pub last_transaction_id: i64,
    pub last_event_id: EventId,
    /// How many they are.
    pub events: i64,
    /// SHA-256 of the seal before and of its entries.
    pub hash: Vec<u8>,
    pub sealed_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
