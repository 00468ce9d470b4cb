//! API keys: credentials of programs. A key is shown once, stored as a hash, and can be revoked.
//!
//! [`crate::RevocationCache`] authenticates keys in memory; this module manages them.

use chrono::Utc;
use entity::api_keys::{self, KeyRole};
use entity::{ApiKeyId, BusinessId, Tenant};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
};
use serde_json::{Value, json};

use crate::audit::{self, Action, Change};
use crate::foundation::locks;
use crate::foundation::pages;
use crate::foundation::retry::retry;
use crate::foundation::secret::{self, Kind, Secret};
use crate::{
    Caller, Database, Error, Outcome, Page, Paging, RevocationCache, Transaction, WriteRequest,
};

const API_KEY: Kind = Kind("tl_live_");

/// The maximum of unrevoked keys per business. Each process holds them in memory, and reads them again in each second
/// in which one is used.
const MAX_KEYS_PER_BUSINESS: u64 = 100;

/// Input of a new key.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The name by which people know the key.
    pub name: String,
    /// The role of requests with this key.
    pub role: KeyRole,
}

/// The business that a text in the format of a key names. Nothing is verified yet.
#[must_use]
pub fn business_of(text: &str) -> Option<BusinessId> {
    API_KEY.business_of(text)
}

/// Whether a text is to be treated as a key, valid or not.
#[must_use]
pub fn looks_like_key(text: &str) -> bool {
    text.starts_with(API_KEY.0)
}

/// A new key with its secret.
#[derive(Debug)]
pub struct CreatedKey {
    /// The key's row, which holds a hash only.
    pub row: api_keys::Model,
    /// The key itself. This is the only time that it is available.
    pub secret: Secret,
}

/// Creates a key. The stored response is rendered from the row alone, since a key must not be stored. A retry creates
/// no second key and does not show the first one.
///
/// # Errors
/// [`Error::ApiKeyLimitReached`]; those of [`WriteRequest`].
pub async fn create(
    database: &Database,
    request: &WriteRequest<'_, api_keys::Model>,
    new: &NewKey,
) -> Result<Outcome<CreatedKey>, Error> {
    let caller = request.caller;
    let secret = API_KEY.make(caller.business_id);
    let created = request.run(database, || async {
        let write = request.begin(database).await?;
        let transaction = write.transaction();
        locks::business(transaction, caller.business_id).await?;
        if let Some(replayed) = write.replayed().await? {
            return Ok(replayed);
        }
        let there = api_keys::Entity::of(caller.business_id)
            .filter(api_keys::Column::RevokedAt.is_null())
            .count(transaction)
            .await?;
        if there >= MAX_KEYS_PER_BUSINESS {
            return Err(Error::ApiKeyLimitReached {
                limit: MAX_KEYS_PER_BUSINESS,
            });
        }
        let row = insert(transaction, caller, new, &secret).await?;
        write.finish(row).await
    });
    let created = created.await?;
    Ok(created.map(|row| CreatedKey { row, secret }))
}

async fn insert(
    transaction: &Transaction,
    caller: &Caller,
    new: &NewKey,
    secret: &Secret,
) -> Result<api_keys::Model, Error> {
    let row = api_keys::ActiveModel {
        business_id: Set(caller.business_id),
        id: Set(ApiKeyId::new()),
        name: Set(new.name.clone()),
        role: Set(new.role),
        prefix: Set(API_KEY.start_of(secret)),
        key_hash: Set(secret::hash(secret.reveal()).to_vec()),
        created_by: Set(caller.user_id),
        ..Default::default()
    }
    .insert(transaction)
    .await?;
    let change = Change {
        action: Action::ApiKeyCreated,
        entity_type: "api_key",
        entity_id: row.id.0,
        before: None,
        after: audit_snapshot(&row),
    };
    audit::record(transaction, caller, change).await?;
    Ok(row)
}

/// Lists keys in order of creation, including revoked ones.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    paging: &Paging<ApiKeyId>,
) -> Result<Page<api_keys::Model, ApiKeyId>, Error> {
    let all = api_keys::Entity::of(caller.business_id);
    let select = paging.ascending(all, api_keys::Column::Id);
    pages::read(database, caller.business_id, select, paging, |key| key.id).await
}

/// Revokes a key; a revoked key stays revoked. Takes effect at once in this process, and within 1 s in others.
///
/// # Errors
/// [`Error::ApiKeyNotFound`].
pub async fn revoke(
    database: &Database,
    revocations: &RevocationCache,
    caller: &Caller,
    id: ApiKeyId,
) -> Result<(), Error> {
    let business = caller.business_id;
    let revoked = retry(|| async {
        let transaction = database.begin(business).await?;
        let key = locks::api_key(&transaction, business, id)
            .await?
            .ok_or(Error::ApiKeyNotFound(id))?;
        if key.revoked_at.is_some() {
            return Ok(());
        }
        let before = audit_snapshot(&key);
        let mut row = key.into_active_model();
        row.revoked_at = Set(Some(Utc::now()));
        let key = row.update(&transaction).await?;
        let change = Change {
            action: Action::ApiKeyRevoked,
            entity_type: "api_key",
            entity_id: id.0,
            before: Some(before),
            after: audit_snapshot(&key),
        };
        audit::record(&transaction, caller, change).await?;
        transaction.commit().await
    })
    .await;
    // Also after an error: the commit may have succeeded with a lost response.
    revocations.forget(business);
    revoked
}

fn audit_snapshot(key: &api_keys::Model) -> Value {
    json!({
        "name": key.name,
        "role": key.role,
        "prefix": key.prefix,
        "revoked": key.revoked_at.is_some(),
    })
}
