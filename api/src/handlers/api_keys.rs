//! `/api/api-keys`: the credentials of programs.

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::identity::api_keys::{self, NewKey};
use domain::{Database, Outcome, Paging, Secret, StoredResponse};
use entity::api_keys::KeyRole;
use entity::users::Role;
use entity::{ApiKeyId, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Authenticated;
use crate::http::listing::Listing;
use crate::schema::body::Json;
use crate::schema::endpoint::Endpoint;
use crate::schema::path::Id;
use crate::schema::problem::Code;
use crate::schema::query::{Page, Query};
use crate::schema::response::{Response, created};
use crate::schema::text::{self, Text};
use crate::state::State;

const ADMIN: &[Role] = &[Role::Admin];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listApiKeys", "/api/api-keys", list)
            .summary("List API keys in order of creation, revoked ones included")
            .for_roles(ADMIN)
            .paged()
            .ok::<Page<ApiKeyView>>(),
        Endpoint::post("createApiKey", "/api/api-keys", create)
            .summary(
                "Create an API key. Only this response contains it: a response replayed for an Idempotency-Key has \
                 null instead",
            )
            .for_roles(ADMIN)
            .body::<ApiKeyRequest>()
            .created::<NewApiKeyView>()
            .codes(&[Code::ApiKeyLimitReached])
            .idempotent(),
        Endpoint::delete("revokeApiKey", "/api/api-keys/{api_key_id}", revoke)
            .summary(
                "Revoke an API key: at once in the process that responds, within a second in others",
            )
            .for_roles(ADMIN)
            .no_content()
            .codes(&[Code::NotFound]),
    ]
}

crate::body! {
    /// A new API key.
    #[example({"name": "Warehouse scanner", "role": "staff"})]
    pub(super) struct ApiKeyRequest {
        /// A name by which people know the key.
        name: Text<1, 100>,
        /// The role of requests with the key.
        role: KeyRole,
    }
}

/// An API key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"name": "Warehouse scanner", "role": "staff", "prefix": "tl_live_3q2"}))]
pub(super) struct ApiKeyView {
    id: ApiKeyId,
    name: String,
    role: KeyRole,
    /// The first characters of the key, by which people recognize it.
    prefix: String,
    /// The user or API key that created it.
    created_by: UserId,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
    /// When it was last used, to the minute; null if never.
    #[serde(serialize_with = "text::optional_time")]
    last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked; null while it is valid.
    #[serde(serialize_with = "text::optional_time")]
    revoked_at: Option<DateTime<Utc>>,
}

/// A new API key with its secret.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "name": "Warehouse scanner", "role": "staff", "prefix": "tl_live_3q2", "key": "tl_live_3q2-shown-once",
}))]
pub(super) struct NewApiKeyView {
    id: ApiKeyId,
    name: String,
    role: KeyRole,
    /// The first characters of the key, by which people recognize it.
    prefix: String,
    /// The secret for the header `Authorization: Bearer …`. Shown once: null when a retry gets the original response.
    key: Option<String>,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
}

impl ApiKeyView {
    fn of(key: entity::api_keys::Model) -> Self {
        Self {
            id: key.id,
            name: key.name,
            role: key.role,
            prefix: key.prefix,
            created_by: key.created_by,
            created_at: key.created_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
        }
    }
}

async fn list(lists: Listing, caller: Authenticated, query: Query) -> Response {
    let currency = caller.currency;
    let read = async move |database: &Database, paging: &Paging<ApiKeyId>| {
        api_keys::list(database, &caller, paging).await
    };
    lists.answer(query, currency, read, ApiKeyView::of).await
}

async fn create(
    state: Data<State>,
    caller: Authenticated,
    request: Json<ApiKeyRequest>,
) -> Response {
    let new = NewKey {
        name: request.body.name.0,
        role: request.body.role,
    };
    let render = |row: &entity::api_keys::Model| shown(row, None);
    let write = caller.write(request.key.as_ref(), &render);
    let created = api_keys::create(&state.database, &write, &new).await;
    caller.answer(created.map(|outcome| match outcome {
        // The stored response has no key in it; the response to the first request does.
        Outcome::Done { value, .. } => Outcome::Done {
            response: shown(&value.row, Some(&value.secret)),
            value,
        },
        replayed @ Outcome::Replayed(_) => replayed,
    }))
}

fn shown(row: &entity::api_keys::Model, key: Option<&Secret>) -> StoredResponse {
    let view = NewApiKeyView {
        id: row.id,
        name: row.name.clone(),
        role: row.role,
        prefix: row.prefix.clone(),
        key: key.map(|key| key.reveal().to_owned()),
        created_at: row.created_at,
    };
    created(&format!("/api/api-keys/{}", row.id), &view)
}

async fn revoke(state: Data<State>, caller: Authenticated, id: Id<ApiKeyId>) -> Response {
    caller.answer(api_keys::revoke(&state.database, &state.revocation, &caller, id.0).await)
}
