//! A change that an audit entry records, and its actor.

use entity::users::Role;
use entity::{BusinessId, EventId, UserId};
use serde_json::Value;
use uuid::Uuid;

use super::action::Action;
use crate::{Caller, PlatformCaller};

/// A change. `before` is absent for what is new.
pub(crate) struct Change {
    /// The action, `<entity>.<participle>`.
    pub(crate) action: Action,
    /// The kind of the changed entity.
    pub(crate) entity_type: &'static str,
    /// Which one.
    pub(crate) entity_id: Uuid,
    /// The entity before the change.
    pub(crate) before: Option<Value>,
    /// The entity after the change.
    pub(crate) after: Value,
}

/// An entry that a transaction has written, by which the transaction is found again when the answer to its commit was
/// lost. The number alone is not enough: another server, which has taken over, may have given it to another
/// transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// The transaction's number.
    pub(crate) transaction_id: i64,
    /// The entry.
    pub(crate) event_id: EventId,
}

/// The role of who has shown no credential, or a bad one.
pub(crate) const NOBODY: &str = "nobody";

/// The actor of changes without a caller: expiries and allocations.
pub(crate) const SYSTEM: UserId = UserId(Uuid::nil());

/// The actor of a change. Most are callers; a login is not yet one.
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

/// A role as the trail names it.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Staff => "staff",
        Role::Customer => "customer",
    }
}
