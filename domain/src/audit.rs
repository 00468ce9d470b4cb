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

/// The role of who has shown no credential, or a bad one.
pub(crate) const NOBODY: &str = "nobody";

/// Who does what nobody asked for: frees what has expired, serves those who wait.
pub(crate) const SYSTEM: UserId = UserId(Uuid::nil());

/// Who did it. Most is done by a caller; a login is not yet one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Actor<'a> {
    /// In which business.
    pub(crate) business_id: BusinessId,
    /// Who.
    pub(crate) user_id: UserId,
    /// As what.
    pub(crate) role: &'static str,
    /// In which request.
    pub(crate) request_id: &'a str,
}

impl<'a> From<&'a Caller> for Actor<'a> {
    fn from(caller: &'a Caller) -> Self {
        Self {
            business_id: caller.business_id,
            user_id: caller.user_id,
            role: role_name(caller.authority.role()),
            request_id: &caller.request_id,
        }
    }
}

impl<'a> Actor<'a> {
    /// The service itself, for what nobody asked it to do.
    pub(crate) fn system(business_id: BusinessId) -> Self {
        Self {
            business_id,
            user_id: SYSTEM,
            role: "system",
            request_id: "",
        }
    }

    /// The platform, in the business that it makes.
    pub(crate) fn platform(platform: &'a PlatformCaller, business_id: BusinessId) -> Self {
        Self {
            business_id,
            user_id: platform.user_id,
            role: "platform",
            request_id: &platform.request_id,
        }
    }
}

/// Adds the caller's change to the trail. It is there when the transaction commits, and only then.
pub(crate) async fn record(
    transaction: &Transaction,
    caller: &Caller,
    change: Change,
) -> Result<(), Error> {
    record_as(transaction, caller.into(), change).await
}

/// As [`record`], for anyone.
pub(crate) async fn record_as(
    transaction: &Transaction,
    actor: Actor<'_>,
    change: Change,
) -> Result<(), Error> {
    let event = audit_events::ActiveModel {
        business_id: Set(actor.business_id),
        id: Set(EventId::new()),
        action: Set(change.action.to_owned()),
        entity_type: Set(change.entity_type.to_owned()),
        entity_id: Set(change.entity_id),
        actor_id: Set(actor.user_id),
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

/// A role as the trail names it.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Staff => "staff",
        Role::Customer => "customer",
    }
}
