//! Rows of codes that reset a password: write, read, delete. [`crate::identity::password_resets`] has the rules.
//!
//! The caller locks the user's row, which is the lock of their code.

use chrono::{DateTime, TimeDelta, Utc};
use entity::{BusinessId, Tenant, UserId, password_resets, users};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, QueryFilter};

use crate::foundation::secret::{self, Secret};
use crate::{Error, Transaction};

/// The lifetime of a code.
const LIFE: TimeDelta = TimeDelta::hours(1);

/// Writes the code of a locked user, which replaces an earlier one.
pub(super) async fn replace(
    transaction: &Transaction,
    user: &users::Model,
    code: &Secret,
    enables: bool,
) -> Result<password_resets::Model, Error> {
    discard(transaction, user.business_id, user.id).await?;
    let now = Utc::now();
    let row = password_resets::ActiveModel {
        business_id: Set(user.business_id),
        user_id: Set(user.id),
        code_hash: Set(secret::hash_of_code(code).to_vec()),
        enables: Set(enables),
        created_at: Set(now),
        expires_at: Set(now + LIFE),
    };
    Ok(row.insert(transaction).await?)
}

/// Reads the code of a user.
pub(super) async fn read(
    transaction: &Transaction,
    business: BusinessId,
    user: UserId,
) -> Result<Option<password_resets::Model>, Error> {
    let code = password_resets::Entity::by_id(business, user);
    Ok(code.one(transaction).await?)
}

/// Whether this code resets this user's password now.
pub(super) fn resets(
    row: &password_resets::Model,
    user: &users::Model,
    code: &Secret,
    now: DateTime<Utc>,
) -> bool {
    let is_it = row.code_hash == secret::hash_of_code(code);
    let may_log_in = user.disabled_at.is_none() || row.enables;
    is_it && row.expires_at > now && may_log_in && user.deleted_at.is_none()
}

/// Deletes the code of a locked user, if there is one.
pub(super) async fn discard(
    transaction: &Transaction,
    business: BusinessId,
    user: UserId,
) -> Result<(), Error> {
    password_resets::Entity::delete_of(business)
        .filter(password_resets::Column::UserId.eq(user))
        .exec(transaction)
        .await?;
    Ok(())
}
