//! Table `audit_events`: each change, with its actor and the values before and after. Append-only.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, EventId, UserId};

/// One audit entry.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EventId,
    pub action: String,
    pub entity_type: String,
    pub entity_id: Uuid,
    pub actor_id: UserId,
    pub actor_role: String,
    pub request_id: String,
    pub before: Option<Json>,
    pub after: Option<Json>,
    pub created_at: DateTimeUtc,
    /// The id of the transaction that wrote the entry, as the server reports it. With `id` it orders the audit trail.
    pub transaction_id: i64,
}

impl ActiveModelBehavior for ActiveModel {}
