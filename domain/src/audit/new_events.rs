//! Rows of `audit_events` that are to be inserted: the one place that names their columns for it.

use entity::EventId;

use super::change::{Actor, Change};
use crate::foundation::rows::{Columns, Insert, Row};

/// An entry of the audit trail that is to be written.
pub(crate) struct Event<'a> {
    /// Its id.
    pub(crate) id: EventId,
    /// Who did it.
    pub(crate) actor: Actor<'a>,
    /// What.
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
