//! Password resets: a code that an admin or the platform gets for a user, and with which the user sets a new password.
//!
//! A code has 125 random bits, is shown once, stored as a hash, and valid for one use within an hour. A new code
//! replaces the earlier one. An unknown business, an unknown address, and a code that is wrong, used, replaced or
//! expired take the same time and get the same response, as a failed login does.
//!
//! Locks the user, or all admins of the business by id.

use chrono::Utc;
use entity::users::{self, PasswordHash, Role};
use entity::{BusinessId, Tenant, UserId, businesses, password_resets};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, IntoActiveModel, QueryFilter,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::{self, Action, Actor, Change};
use crate::foundation::email;
use crate::foundation::idempotency::{self, Scope};
use crate::foundation::locks;
use crate::foundation::new_password::{NewPassword, WeakPassword};
use crate::foundation::retry::retry;
use crate::foundation::secret::{self, Secret};
use crate::identity::login::{self, Failure};
use crate::identity::passwords::Passwords;
use crate::identity::{
    access_tokens, refresh_tokens, reset_codes, session_rows, users as user_records,
};
use crate::{
    BusinessCache, Database, Error, Outcome, PlatformCaller, RevocationCache, StoredResponse,
    Transaction, WriteRequest,
};

/// A new code.
#[derive(Debug)]
pub struct CreatedCode {
    /// The code's row, which holds a hash only.
    pub row: password_resets::Model,
    /// The code itself. This is the only time that it is available.
    pub code: Secret,
}

/// Creates the code of a user. The stored response is rendered from the row alone, since a code must not be stored.
///
/// # Errors
/// [`Error::UserNotFound`]; [`Error::UserDisabled`]; those of [`WriteRequest`].
pub async fn create(
    database: &Database,
    request: &WriteRequest<'_, password_resets::Model>,
    id: UserId,
) -> Result<Outcome<CreatedCode>, Error> {
    let (caller, code) = (request.caller, secret::code());
    let created = request.run(database, || async {
        let write = request.begin(database).await?;
        let transaction = write.transaction();
        let user = locks::user(transaction, caller.business_id, id).await?;
        if let Some(replayed) = write.replayed().await? {
            return Ok(replayed);
        }
        let user = user.filter(|user| user.deleted_at.is_none());
        let user = user.ok_or(Error::UserNotFound(id))?;
        if user.disabled_at.is_some() {
            return Err(Error::UserDisabled(id));
        }
        let row = reset_codes::replace(transaction, &user, &code, false).await?;
        record_code(transaction, caller.into(), &row).await?;
        write.finish(row).await
    });
    let created = created.await?;
    Ok(created.map(|row| CreatedCode { row, code }))
}

/// Creates the code of a business's admin for the platform. Its use also enables the admin if they are disabled.
///
/// `email` names the admin. Without it, it is the only enabled admin, or the only admin if none is enabled.
///
/// # Errors
/// [`Error::BusinessNotFound`]; [`Error::NoSuchAdmin`]; [`Error::AdminNotNamed`]; those of [`WriteRequest`].
pub async fn create_for_admin(
    database: &Database,
    request: &WriteRequest<'_, password_resets::Model, PlatformCaller>,
    business: BusinessId,
    email: Option<&str>,
) -> Result<Outcome<CreatedCode>, Error> {
    let (platform, code) = (request.caller, secret::code());
    let scope = Scope {
        business_id: business,
        caller_id: platform.user_id,
    };
    let created = request.run_in(database, scope, || async {
        let write = request.begin_in(database, scope).await?;
        let transaction = write.transaction();
        let there = businesses::Entity::of(business).one(transaction).await?;
        there.ok_or(Error::BusinessNotFound(business))?;
        let which = Condition::all()
            .add(users::Column::Role.eq(Role::Admin))
            .add(users::Column::DeletedAt.is_null());
        let admins = locks::users(transaction, business, which).await?;
        if let Some(replayed) = write.replayed().await? {
            return Ok(replayed);
        }
        let admin = choose(&admins, email)?;
        let row = reset_codes::replace(transaction, admin, &code, true).await?;
        record_code(transaction, Actor::platform(platform, business), &row).await?;
        write.finish(row).await
    });
    let created = created.await?;
    Ok(created.map(|row| CreatedCode { row, code }))
}

/// The admin with this address, or the only one.
fn choose<'a>(admins: &'a [users::Model], email: Option<&str>) -> Result<&'a users::Model, Error> {
    if let Some(email) = email {
        let email = email::lookup_form(email);
        let named = admins.iter().find(|admin| admin.email == email);
        return named.ok_or(Error::NoSuchAdmin);
    }
    let is_enabled = |admin: &&users::Model| admin.disabled_at.is_none();
    let enabled: Vec<&users::Model> = admins.iter().filter(is_enabled).collect();
    let all: Vec<&users::Model> = admins.iter().collect();
    let candidates = if enabled.is_empty() { all } else { enabled };
    match candidates.as_slice() {
        [only] => Ok(only),
        [] => Err(Error::NoSuchAdmin),
        several => Err(Error::AdminNotNamed {
            admins: several.len(),
        }),
    }
}

async fn record_code(
    transaction: &Transaction,
    actor: Actor<'_>,
    row: &password_resets::Model,
) -> Result<(), Error> {
    let change = Change {
        action: Action::PasswordResetCreated,
        entity_type: "user",
        entity_id: row.user_id.0,
        before: None,
        after: json!({"expires_at": row.expires_at}),
    };
    audit::record_as(transaction, actor, change).await
}

/// An attempt to set a new password with a code.
#[derive(Debug, Clone)]
pub struct ResetAttempt {
    /// The business's slug or id.
    pub business: String,
    /// The user's email address, in any case.
    pub email: String,
    /// The address for the audit entry; `None` when the text is not an address.
    pub audit_email: Option<String>,
    /// The code, as typed.
    pub code: Secret,
    /// The new password.
    pub new: NewPassword,
    /// The request's id, for the audit entry.
    pub request_id: String,
}

/// Sets a new password with a code and ends all logins of the user. It takes effect at once in this process and within
/// 1 s in others. A password that is too weak, or the present one, leaves the code valid.
///
/// A repeated request finds its code used. With the key of the first one, it gets the same response.
///
/// # Errors
/// [`Error::InvalidCredentials`]; [`Error::WeakPassword`]; those of [`WriteRequest`].
pub async fn reset(
    database: &Database,
    directory: &BusinessCache,
    passwords: &Passwords,
    revocations: &RevocationCache,
    (request, attempt): (&WriteRequest<'_, (), ()>, &ResetAttempt),
) -> Result<Outcome<()>, Error> {
    let business = directory.by_name(database, &attempt.business).await?;
    let business = business.map(|business| business.id);
    let found = match business {
        Some(business) => find(database, business, (request, attempt)).await?,
        None => Found::default(),
    };
    if let Some(response) = found.response {
        return Ok(Outcome::Replayed(response));
    }
    if let (Some(business), Some(user), true) = (business, &found.user, found.is_valid) {
        let hash = hash_of_new(database, passwords, (user, attempt)).await?;
        let set = set(database, user, (request, attempt), &hash).await;
        // Also after an error: the commit may have succeeded with a lost response.
        revocations.forget(business);
        match set {
            Err(Error::InvalidCredentials) => {}
            other => return other,
        }
    }
    // Takes the time of a login with a wrong password.
    passwords.matches(attempt.code.clone(), None).await?;
    if let Some(business) = business {
        let failure = Failure {
            action: Action::PasswordResetFailed,
            unknown: "password_reset",
            audit_email: attempt.audit_email.as_deref(),
            request_id: &attempt.request_id,
            reason: match found.user {
                Some(_) => "invalid_code",
                None => "unknown_address",
            },
        };
        let user = found.user.map(|user| user.id);
        login::record_failure(database, business, user, &failure).await?;
    }
    Err(Error::InvalidCredentials)
}

/// The hash of the new password for a user whose code is valid.
async fn hash_of_new(
    database: &Database,
    passwords: &Passwords,
    (user, attempt): (&users::Model, &ResetAttempt),
) -> Result<PasswordHash, Error> {
    let kept = user.password_hash.clone();
    let new = attempt.new.secret().clone();
    if passwords.matches(new, Some(kept)).await? {
        return Err(Error::WeakPassword(WeakPassword::Unchanged));
    }
    let (business, email, name) = (user.business_id, &user.email, &user.name);
    let known = user_records::known_about(database, business, email, name).await?;
    passwords.hash(&attempt.new, known).await
}

/// What an attempt meets.
#[derive(Debug, Default)]
struct Found {
    /// The user with the address.
    user: Option<users::Model>,
    /// Whether the code is theirs and valid.
    is_valid: bool,
    /// The response to an earlier request with the same key.
    response: Option<StoredResponse>,
}

/// Takes as many statements for an address that nobody has.
async fn find(
    database: &Database,
    business: BusinessId,
    (request, attempt): (&WriteRequest<'_, (), ()>, &ResetAttempt),
) -> Result<Found, Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let user = users::Entity::of(business)
            .filter(users::Column::Email.eq(email::lookup_form(&attempt.email)))
            .one(&transaction)
            .await?;
        let id = user.as_ref().map_or(UserId(Uuid::nil()), |user| user.id);
        let row = reset_codes::read(&transaction, business, id).await?;
        let response = match request.key {
            Some(key) => idempotency::replayed(&transaction, scope(business, id), key).await?,
            None => None,
        };
        transaction.commit().await?;
        let is_valid = match (&user, &row) {
            (Some(user), Some(row)) => reset_codes::resets(row, user, &attempt.code, Utc::now()),
            _ => false,
        };
        Ok(Found {
            user,
            is_valid,
            response,
        })
    })
    .await
}

/// The owner of the key: the user, although a reset has no caller.
fn scope(business: BusinessId, user: UserId) -> Scope {
    Scope {
        business_id: business,
        caller_id: user,
    }
}

/// Sets the password.
///
/// # Errors
/// [`Error::InvalidCredentials`] if the code is no longer valid under the user's lock.
async fn set(
    database: &Database,
    user: &users::Model,
    (request, attempt): (&WriteRequest<'_, (), ()>, &ResetAttempt),
    hash: &PasswordHash,
) -> Result<Outcome<()>, Error> {
    let (business, id) = (user.business_id, user.id);
    let set = request.run_in(database, scope(business, id), || async {
        let write = request.begin_in(database, scope(business, id)).await?;
        let transaction = write.transaction();
        let user = user_records::lock(transaction, business, id).await?;
        if let Some(replayed) = write.replayed().await? {
            return Ok(replayed);
        }
        let row = reset_codes::read(transaction, business, id).await?;
        let now = Utc::now();
        if !row.is_some_and(|row| reset_codes::resets(&row, &user, &attempt.code, now)) {
            return Err(Error::InvalidCredentials);
        }
        let was_disabled = user.disabled_at.is_some();
        let mut row = user.clone().into_active_model();
        row.password_hash = Set(hash.clone());
        row.disabled_at = Set(None);
        row.updated_at = Set(now);
        access_tokens::revoke_of(&mut row, &user, None, now);
        let changed = row.update(transaction).await?;
        refresh_tokens::revoke_of(transaction, business, id, None).await?;
        session_rows::end_of(transaction, business, id, None).await?;
        reset_codes::discard(transaction, business, id).await?;
        let actor = Actor {
            business_id: business,
            user_id: user.id,
            role: audit::role_name(user.role),
            request_id: &attempt.request_id,
        };
        let entry = |action, before: Option<Value>, after| Change {
            action,
            entity_type: "user",
            entity_id: user.id.0,
            before,
            after,
        };
        let set = entry(Action::PasswordResetSucceeded, None, json!({}));
        audit::record_as(transaction, actor, set).await?;
        if was_disabled {
            let before = Some(user_records::audit_snapshot(&user));
            let after = user_records::audit_snapshot(&changed);
            let enabled = entry(Action::UserEnabled, before, after);
            audit::record_as(transaction, actor, enabled).await?;
        }
        write.finish(()).await
    });
    set.await
}

#[cfg(test)]
mod tests {
    use entity::users::PasswordHash;

    use super::*;

    fn admin(email: &str, is_enabled: bool) -> users::Model {
        let now = Utc::now();
        users::Model {
            business_id: BusinessId::new(),
            id: UserId::new(),
            email: email.to_owned(),
            name: email.to_owned(),
            password_hash: PasswordHash(String::new()),
            role: Role::Admin,
            customer_id: None,
            created_at: now,
            disabled_at: (!is_enabled).then_some(now),
            version: 1,
            version_changed_at: None,
            updated_at: now,
            deleted_at: None,
            kept_login: None,
            kept_from_version: None,
            kept_at_version: None,
        }
    }

    #[test]
    fn the_platform_resets_the_only_admin_or_the_one_that_it_names() {
        let (on, second, off) = (
            admin("on@x", true),
            admin("second@x", true),
            admin("off@x", false),
        );
        let chosen = |admins: &[&users::Model], email| {
            let admins: Vec<users::Model> = admins.iter().map(|admin| (*admin).clone()).collect();
            choose(&admins, email).map(|admin| admin.id)
        };
        assert_eq!(chosen(&[&on], None).unwrap(), on.id);
        assert_eq!(chosen(&[&off], None).unwrap(), off.id);
        assert_eq!(chosen(&[&off, &on], None).unwrap(), on.id);
        assert_eq!(chosen(&[&off, &on], Some("OFF@x")).unwrap(), off.id);
        for (admins, email) in [
            (vec![], None),
            (vec![&on], Some("second@x")),
            (vec![], Some("on@x")),
        ] {
            let refused = chosen(&admins, email);
            assert!(matches!(refused, Err(Error::NoSuchAdmin)), "{refused:?}");
        }
        let refused = chosen(&[&off, &on, &second], None);
        assert!(matches!(refused, Err(Error::AdminNotNamed { admins: 2 })));
    }
}
