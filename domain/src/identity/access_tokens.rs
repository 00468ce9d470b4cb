//! The revocation of access tokens by their user's version, which [`crate::RevocationCache`] compares.

use chrono::{DateTime, Utc};
use entity::users;
use sea_orm::ActiveValue::Set;
use uuid::Uuid;

/// Revokes the access tokens of a locked user with the update of the row. Those of the login `kept` stay valid, as far
/// as they are valid now.
pub(super) fn revoke_of(
    row: &mut users::ActiveModel,
    user: &users::Model,
    kept: Option<Uuid>,
    now: DateTime<Utc>,
) {
    let version = user.version + 1;
    // Tokens of the login may be older than the user's version if it was kept before.
    let from = match user.kept() {
        Some((before, from)) if kept == Some(before) => from,
        _ => user.version,
    };
    row.version = Set(version);
    row.version_changed_at = Set(Some(now));
    row.kept_login = Set(kept);
    row.kept_from_version = Set(kept.map(|_| from));
    row.kept_at_version = Set(kept.map(|_| version));
}
