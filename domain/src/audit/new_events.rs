//! Rows to be inserted into `audit_events`. Only this file names their columns for an insert.

use entity::EventId;

use super::change::{Actor, Change};
use crate::foundation::rows::{Columns, Insert, Row};

/// An audit entry to be written.
pub(crate) struct Event<'a> {
    /// Made by the service, so that the entry can be looked up after a lost commit.
    pub(crate) id: EventId,
    /// The user, key or system that made the change.
    pub(crate) actor: Actor<'a>,
    /// The changed entity with its states.
    pub(crate) change: Change,
}

impl Row for Event<'_> {
    const NAME: &'static str = "new_event";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("id", |event| event.id);
        columns.column("action", |event| event.change.action.text().to_owned());
        columns.column("entity_type", |event| event.change.entity_type.to_owned());
        columns.column("entity_id", |event| event.change.entity_id);
        columns.column("actor_id", |event| event.actor.user_id);
        columns.column("actor_role", |event| event.actor.role.to_owned());
        columns.column("request_id", |event| event.actor.request_id.to_owned());
        columns.nullable("before", |event| event.change.before.clone());
        columns.column("after", |event| event.change.after.clone());
    }
}

impl Insert for Event<'_> {
    const TABLE: &'static str = "audit_events";
}
