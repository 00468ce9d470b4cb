//! The audit trail: what changed, by whom, before and after, in the transaction that changed it.

use entity::users::Role;
use entity::{BusinessId, EventId, UserId, audit_events};
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::Value;
use uuid::Uuid;

use crate::{Caller, Error, PlatformCaller, Transaction};

/// A change. `before` is absent for what is new.
pub(crate) struct Change {
    /// What happened, `<entity>.<participle>`.
    pub(crate) action: &'static str,
    /// What kind of thing it happened to.
    pub(crate) entity_type: &'static str,
    /// Which one.
    pub(crate) entity_id: Uuid,
    /// What it was.
    pub(crate) before: Option<Value>,
    /// What it is.
    pub(crate) after: Value,
}

/// Adds the change to the trail. It is there when the transaction commits, and only then.
pub(crate) async fn record(
    transaction: &Transaction,
    caller: &Caller,
    change: Change,
) -> Result<(), Error> {
    let actor = Actor {
        id: caller.user_id,
        role: role_name(caller),
        request_id: &caller.request_id,
    };
    insert(transaction, caller.business_id, actor, change).await
}

/// As [`record`], into the trail of a business that the platform makes.
pub(crate) async fn record_for_platform(
    transaction: &Transaction,
    platform: &PlatformCaller,
    business_id: BusinessId,
    change: Change,
) -> Result<(), Error> {
    let actor = Actor {
        id: platform.user_id,
        role: "platform",
        request_id: &platform.request_id,
    };
    insert(transaction, business_id, actor, change).await
}

/// Who has changed something.
struct Actor<'a> {
    id: UserId,
    role: &'static str,
    request_id: &'a str,
}

async fn insert(
    transaction: &Transaction,
    business_id: BusinessId,
    actor: Actor<'_>,
    change: Change,
) -> Result<(), Error> {
    let event = audit_events::ActiveModel {
        business_id: Set(business_id),
        id: Set(EventId::new()),
        action: Set(change.action.to_owned()),
        entity_type: Set(change.entity_type.to_owned()),
        entity_id: Set(change.entity_id),
        actor_id: Set(actor.id),
        actor_role: Set(actor.role.to_owned()),
        request_id: Set(actor.request_id.to_owned()),
        before: Set(change.before),
        after: Set(Some(change.after)),
        ..Default::default()
    };
    audit_events::Entity::insert(event)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

/// The caller's role as the trail names it.
pub(crate) fn role_name(caller: &Caller) -> &'static str {
    match caller.authority.role() {
        Role::Admin => "admin",
        Role::Staff => "staff",
        Role::Customer => "customer",
    }
}
