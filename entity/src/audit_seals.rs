//! Table `audit_seals`: the seals on the audit trail. Append-only.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, EventId};

/// One seal in the chain of a business. It covers the audit entries after those of the previous seal.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_seals")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    /// The position in the chain, from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    /// With `last_event_id`, the last audit entry that the seal covers.
    pub last_transaction_id: i64,
    pub last_event_id: EventId,
    /// The number of audit entries that the seal covers.
    pub events: i64,
    /// SHA-256 of the previous seal and of the covered entries.
    pub hash: Vec<u8>,
    pub sealed_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
