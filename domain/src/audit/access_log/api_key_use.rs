//! The last use of API keys, and the look-up of revoked keys.

use std::collections::{HashMap, HashSet};

use chrono::Utc;
use entity::{ApiKeyId, BusinessId, Tenant, api_keys};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, QueryFilter};
use serde_json::json;

use crate::audit::{self, Action, Change};
use crate::{Caller, Error, Transaction};

/// Those of the hashes that belong to a revoked key, with its id. Costs one statement.
pub(super) async fn revoked(
    transaction: &Transaction,
    business: BusinessId,
    hashes: &HashSet<[u8; 32]>,
) -> Result<HashMap<[u8; 32], ApiKeyId>, Error> {
    let hashes = hashes.iter().map(|hash| hash.to_vec());
    let rows = api_keys::Entity::of(business)
        .filter(api_keys::Column::KeyHash.is_in(hashes))
        .filter(api_keys::Column::RevokedAt.is_not_null())
        .all(transaction)
        .await?;
    // A hash of another length does not occur in the database.
    let entry = |row: api_keys::Model| Some((row.key_hash.try_into().ok()?, row.id));
    Ok(rows.into_iter().filter_map(entry).collect())
}

/// Records that the caller has used their API key, unless a use was recorded within [`NOTE_INTERVAL_SECONDS`].
pub(super) async fn note_use(transaction: &Transaction, caller: &Caller) -> Result<(), Error> {
    let (id, now) = (ApiKeyId(caller.user_id.0), Utc::now());
    let long_ago = Condition::any()
        .add(api_keys::Column::LastUsedAt.is_null())
        .add(
            api_keys::Column::LastUsedAt.lt(now - chrono::Duration::seconds(NOTE_INTERVAL_SECONDS)),
        );
    let noted = api_keys::Entity::update_of(caller.business_id)
        .filter(api_keys::Column::Id.eq(id))
        .filter(long_ago)
        .col_expr(api_keys::Column::LastUsedAt, Expr::value(now))
        .exec(transaction)
        .await?;
    if noted.rows_affected == 0 {
        return Ok(());
    }
    let change = Change {
        action: Action::ApiKeyUsed,
        entity_type: "api_key",
        entity_id: id.0,
        before: None,
        after: json!({}),
    };
    audit::record(transaction, caller, change).await
}

/// The shortest time between two recorded uses of a key, in seconds.
pub(super) const NOTE_INTERVAL_SECONDS: i64 = 60;
