//! `/api/audit`: the changes in a business, with their actors and the values before and after.

use chrono::{DateTime, Utc};
use domain::audit::{self, EntryCursor, Filter};
use domain::foundation::dates::When;
use domain::{Database, Paging};
use entity::users::Role;
use entity::{EventId, UserId, audit_events};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Authenticated;
use crate::http::listing::Listing;
use crate::schema::endpoint::Endpoint;
use crate::schema::query::{Page, Query};
use crate::schema::response::Response;
use crate::schema::text::{self, Text};

/// A filter by action or by kind of entity.
type Word = Text<1, 100>;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listAuditEntries", "/api/audit", list)
            .summary("List changes, the newest first")
            .for_roles(&[Role::Admin])
            .query::<Word>(
                "entity_type",
                "The kind of the changed entity, such as order.",
            )
            .query::<Uuid>("entity_id", "The id of the changed entity.")
            .query::<UserId>("actor_id", "The user or API key that made the change.")
            .query::<Word>("action", "The action, such as order.approved.")
            .query::<When>("from", "At this time or later.")
            .query::<When>("to", "Before this time, or until the end of this date.")
            .paged()
            .ok::<Page<AuditEntryView>>(),
    ]
}

/// An audit entry.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "action": "order.approved", "entity_type": "order", "actor_role": "staff",
    "request_id": "0190a5d4-7b1c-7000-8000-00000000000f", "before": null, "after": {"status": "approved"},
}))]
pub(super) struct AuditEntryView {
    id: EventId,
    /// The action, such as `order.approved`.
    action: String,
    /// The kind of entity that changed: `order`, for example.
    entity_type: String,
    /// The id of the entity.
    entity_id: Uuid,
    /// The actor: a user, an API key, or the subject of a script's token.
    actor_id: UserId,
    /// The role of the actor; `nobody` for a credential that is no longer valid.
    actor_role: String,
    /// The id of the request that made the change.
    request_id: String,
    /// The values before the change; null for a new entity.
    before: Value,
    /// The values after the change.
    after: Value,
    /// The number of occurrences. Equal refusals within a minute share one entry.
    times: u64,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
}

impl AuditEntryView {
    fn of(event: audit_events::Model) -> Self {
        let times = event.after.as_ref().and_then(|after| after.get("times"));
        Self {
            times: times.and_then(Value::as_u64).unwrap_or(1),
            id: event.id,
            action: event.action,
            entity_type: event.entity_type,
            entity_id: event.entity_id,
            actor_id: event.actor_id,
            actor_role: event.actor_role,
            request_id: event.request_id,
            before: event.before.unwrap_or_default(),
            after: event.after.unwrap_or_default(),
            created_at: event.created_at,
        }
    }
}

async fn list(lists: Listing, caller: Authenticated, mut query: Query) -> Response {
    let (from, to) = query.span(("from", "to"));
    let filter = Filter {
        entity_type: query.take::<Word>("entity_type").map(|word| word.0),
        entity_id: query.take("entity_id"),
        actor_id: query.take("actor_id"),
        action: query.take::<Word>("action").map(|word| word.0),
        from,
        to,
    };
    let currency = caller.currency;
    let read = async move |database: &Database, paging: &Paging<EntryCursor>| {
        audit::list(database, &caller, &filter, paging).await
    };
    lists
        .answer(query, currency, read, AuditEntryView::of)
        .await
}
