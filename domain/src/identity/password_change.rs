//! A user's change of their own password, which ends their other logins.
//!
//! Locks the user. The old password is verified before, outside the transaction, and the change is refused if it was
//! changed meanwhile.

use chrono::Utc;
use entity::users::PasswordHash;
use entity::{Tenant, users};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, Action, Change};
use crate::foundation::new_password::{NewPassword, WeakPassword};
use crate::foundation::retry::retry;
use crate::foundation::secret::Secret;
use crate::identity::passwords::Passwords;
use crate::identity::{
    access_tokens, refresh_tokens, reset_codes, session_rows, users as user_records,
};
use crate::{Caller, Database, Error, Outcome, RevocationCache, Transaction, WriteRequest};

/// A change of the caller's own password.
#[derive(Debug, Clone)]
pub struct PasswordChange {
    /// The caller's user: see [`user_of`].
    pub user: users::Model,
    /// The login of the request's token or session, which goes on. `None` for a token that names none: all logins end.
    pub login: Option<Uuid>,
    /// The present password, as typed.
    pub old: Secret,
    /// The new password.
    pub new: NewPassword,
}

/// The user who the caller is.
///
/// # Errors
/// [`Error::NoPassword`] for a caller who is no user; [`Error::DatabaseUnavailable`].
pub async fn user_of(database: &Database, caller: &Caller) -> Result<users::Model, Error> {
    retry(|| async {
        let transaction = database.begin_read(caller.business_id).await?;
        let user = users::Entity::by_id(caller.business_id, caller.user_id)
            .one(&transaction)
            .await?;
        transaction.commit().await?;
        user.ok_or(Error::NoPassword)
    })
    .await
}

/// Sets a new password and ends the user's other logins. It takes effect at once in this process and within 1 s in
/// others.
///
/// # Errors
/// [`Error::InvalidCredentials`] for a wrong old password; [`Error::WeakPassword`], also for the old one; those of
/// [`WriteRequest`].
pub async fn change(
    database: &Database,
    passwords: &Passwords,
    revocations: &RevocationCache,
    request: &WriteRequest<'_, ()>,
    change: &PasswordChange,
) -> Result<Outcome<()>, Error> {
    let hash = hash_of_new(database, passwords, change).await?;
    let (business, id) = (request.caller.business_id, change.user.id);
    let changed = request.run(database, || async {
        let write = request.begin(database).await?;
        let transaction = write.transaction();
        let user = user_records::lock(transaction, business, id).await?;
        if let Some(replayed) = write.replayed().await? {
            return Ok(replayed);
        }
        let is_unchanged = user.password_hash == change.user.password_hash;
        let Some(hash) = hash
            .clone()
            .filter(|_| is_unchanged && user.disabled_at.is_none())
        else {
            return Err(Error::InvalidCredentials);
        };
        let now = Utc::now();
        let mut row = user.clone().into_active_model();
        row.password_hash = Set(hash);
        row.updated_at = Set(now);
        access_tokens::revoke_of(&mut row, &user, change.login, now);
        row.update(transaction).await?;
        refresh_tokens::revoke_of(transaction, business, id, change.login).await?;
        session_rows::end_of(transaction, business, id, change.login).await?;
        reset_codes::discard(transaction, business, id).await?;
        record(transaction, request.caller, &user).await?;
        write.finish(()).await
    });
    let changed = changed.await;
    // Also after an error: the commit may have succeeded with a lost response.
    revocations.forget(business);
    changed
}

/// The hash of the new password; `None` if the old one is wrong, as it is in a repeated request.
async fn hash_of_new(
    database: &Database,
    passwords: &Passwords,
    change: &PasswordChange,
) -> Result<Option<PasswordHash>, Error> {
    let PasswordChange { user, old, new, .. } = change;
    let kept = user.password_hash.clone();
    if !passwords.matches(old.clone(), Some(kept)).await? {
        return Ok(None);
    }
    if new.is(old) {
        return Err(Error::WeakPassword(WeakPassword::Unchanged));
    }
    let (business, email, name) = (user.business_id, &user.email, &user.name);
    let known = user_records::known_about(database, business, email, name).await?;
    passwords.hash(new, known).await.map(Some)
}

async fn record(
    transaction: &Transaction,
    caller: &Caller,
    user: &users::Model,
) -> Result<(), Error> {
    let change = Change {
        action: Action::UserPasswordChanged,
        entity_type: "user",
        entity_id: user.id.0,
        before: None,
        after: json!({}),
    };
    audit::record(transaction, caller, change).await
}
