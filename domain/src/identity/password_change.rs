//! A user's change of their own password, which ends their other logins.
//!
//! Locks the user. The old password is verified before, outside the transaction, and the change is refused if it was
//! changed meanwhile.

use chrono::Utc;
use entity::{Tenant, users};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, Action, Change};
use crate::foundation::new_password::NewPassword;
use crate::foundation::retry::retry;
use crate::foundation::secret::Secret;
use crate::identity::passwords::Passwords;
use crate::identity::{
    access_tokens, refresh_tokens, reset_codes, session_rows, users as user_records,
};
use crate::{Caller, Database, Error, RevocationCache, Transaction};

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
/// [`Error::InvalidCredentials`] for a wrong old password; [`Error::WeakPassword`]; [`Error::Overloaded`];
/// [`Error::DatabaseUnavailable`]; [`Error::OutcomeUnknown`].
pub async fn change(
    database: &Database,
    passwords: &Passwords,
    revocations: &RevocationCache,
    caller: &Caller,
    change: &PasswordChange,
) -> Result<(), Error> {
    let (business, known_user) = (caller.business_id, &change.user);
    let kept = known_user.password_hash.clone();
    if !passwords.matches(change.old.clone(), Some(kept)).await? {
        return Err(Error::InvalidCredentials);
    }
    let (email, name) = (&known_user.email, &known_user.name);
    let known = user_records::known_about(database, business, email, name).await?;
    let hash = passwords.hash(&change.new, known).await?;
    let changed = retry(|| async {
        let transaction = database.begin(business).await?;
        let user = user_records::lock(&transaction, business, known_user.id).await?;
        if user.password_hash != known_user.password_hash || user.disabled_at.is_some() {
            return Err(Error::InvalidCredentials);
        }
        let now = Utc::now();
        let mut row = user.clone().into_active_model();
        row.password_hash = Set(hash.clone());
        row.updated_at = Set(now);
        access_tokens::revoke_of(&mut row, &user, change.login, now);
        row.update(&transaction).await?;
        refresh_tokens::revoke_of(&transaction, business, user.id, change.login).await?;
        session_rows::end_of(&transaction, business, user.id, change.login).await?;
        reset_codes::discard(&transaction, business, user.id).await?;
        record(&transaction, caller, &user).await?;
        transaction.commit().await
    })
    .await;
    // Also after an error: the commit may have succeeded with a lost response.
    revocations.forget(business);
    changed
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
