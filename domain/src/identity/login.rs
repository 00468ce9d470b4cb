//! Logins: password checks, and the user behind a credential.

use std::sync::Arc;
use std::time::Duration;

use entity::users::{self};
use entity::{BusinessId, Tenant, UserId, businesses as businesses_table};
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::{self, Action, Actor, Change};
use crate::foundation::email;
use crate::foundation::retry::retry;
use crate::foundation::secret::Secret;
use crate::identity::businesses::{self, Business};
use crate::identity::passwords::Passwords;
use crate::identity::{refresh_tokens, session_rows};
use crate::{Authority, BusinessCache, Caller, Database, Error, Transaction};

/// A login attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The business's slug or id.
    pub business: String,
    /// The user's email address, in any case.
    pub email: String,
    /// The address for the audit entry; `None` when the text is not an address. People type passwords into the wrong
    /// field.
    pub audit_email: Option<String>,
    /// The password, as typed.
    pub password: Secret,
    /// The request's id, for the audit entry.
    pub request_id: String,
}

/// A user authenticated by a password, or by a refresh token of an earlier login.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user.
    pub user: users::Model,
    /// The permissions of the user.
    pub authority: Authority,
    /// The user's business.
    pub business: Arc<Business>,
    /// The login's id: the family of its refresh tokens, or its session.
    pub login: Uuid,
    /// The credential that the client keeps: see [`Grant`].
    pub token: Secret,
}

/// The credential that a login gives its client.
#[derive(Debug, Clone, Copy)]
pub enum Grant<'a> {
    /// A refresh token of this lifetime, which renews the login once.
    RefreshToken(Duration),
    /// A session, for a browser that calls itself this.
    Session {
        /// The value of `User-Agent`.
        user_agent: Option<&'a str>,
    },
}

/// The caller's own profile.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The user; `None` for the token of a script.
    pub user: Option<users::Model>,
    /// The caller's business.
    pub business: businesses_table::Model,
}

/// Logs a user in.
///
/// An unknown business, an unknown address, a disabled user and a wrong password take the same time and get the same
/// response. In a business that exists, each failure has an audit entry.
///
/// # Errors
/// [`Error::InvalidCredentials`]; [`Error::Overloaded`]; [`Error::DatabaseUnavailable`].
pub async fn log_in(
    database: &Database,
    directory: &BusinessCache,
    passwords: &Passwords,
    attempt: &Attempt,
    grant: Grant<'_>,
) -> Result<Login, Error> {
    let business = directory.by_name(database, &attempt.business).await?;
    let user = match &business {
        Some(business) => by_email(database, business.id, &attempt.email).await?,
        None => None,
    };
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let matches = passwords.matches(attempt.password.clone(), hash).await?;
    let Some(business) = business else {
        return Err(Error::InvalidCredentials);
    };
    let (user, reason) = match user {
        None => (None, "unknown_address"),
        Some(user) if !matches => (Some(user), "wrong_password"),
        // No second check under a lock: its time would tell that the password is right.
        Some(user) if user.disabled_at.is_some() => (Some(user), "disabled"),
        Some(user) => match open(database, &business, &user, attempt, grant).await? {
            Some(login) => return Ok(login),
            None => (Some(user), "changed_meanwhile"),
        },
    };
    let failure = Failure {
        action: Action::LoginFailed,
        unknown: "login",
        audit_email: attempt.audit_email.as_deref(),
        request_id: &attempt.request_id,
        reason,
    };
    let user = user.map(|user| user.id);
    record_failure(database, business.id, user, &failure).await?;
    Err(Error::InvalidCredentials)
}

async fn by_email(
    database: &Database,
    business: BusinessId,
    email: &str,
) -> Result<Option<users::Model>, Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let user = users::Entity::of(business)
            .filter(users::Column::Email.eq(email::lookup_form(email)))
            .one(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(user)
    })
    .await
}

/// Starts the login of an authenticated user who is not disabled. Decided under the user's lock, because an admin may
/// be disabling them now, or the address or the password may have changed since they were verified.
async fn open(
    database: &Database,
    business: &Arc<Business>,
    verified: &users::Model,
    attempt: &Attempt,
    grant: Grant<'_>,
) -> Result<Option<Login>, Error> {
    retry(|| async {
        let transaction = database.begin(business.id).await?;
        let user = crate::identity::users::lock(&transaction, business.id, verified.id).await?;
        let is_as_verified =
            (&user.email, &user.password_hash) == (&verified.email, &verified.password_hash);
        if user.disabled_at.is_some() || !is_as_verified {
            return Ok(None);
        }
        let (login, token) = grant.to(&transaction, &user).await?;
        let authority = crate::identity::users::authority(&user)?;
        let actor = Actor {
            business_id: business.id,
            user_id: user.id,
            role: audit::role_name(authority.role()),
            request_id: &attempt.request_id,
        };
        let change = Change {
            action: Action::LoginSucceeded,
            entity_type: "user",
            entity_id: user.id.0,
            before: None,
            after: json!({}),
        };
        audit::record_as(&transaction, actor, change).await?;
        transaction.commit().await?;
        Ok(Some(Login {
            user,
            authority,
            business: Arc::clone(business),
            login,
            token,
        }))
    })
    .await
}

impl Grant<'_> {
    /// Grants it to a locked user. Returns the id of the login and the token.
    async fn to(
        self,
        transaction: &Transaction,
        user: &users::Model,
    ) -> Result<(Uuid, Secret), Error> {
        match self {
            Self::RefreshToken(lifetime) => {
                let (business, login) = (user.business_id, Uuid::now_v7());
                let token =
                    refresh_tokens::issue(transaction, business, user.id, login, lifetime).await?;
                Ok((login, token))
            }
            Self::Session { user_agent } => {
                let opened = session_rows::open(transaction, user, user_agent).await?;
                Ok((opened.id.0, opened.token))
            }
        }
    }
}

/// A failed attempt to authenticate, for its audit entry.
pub(super) struct Failure<'a> {
    /// The check that failed.
    pub(super) action: Action,
    /// The entity type of an entry about an unknown address.
    pub(super) unknown: &'static str,
    /// The unknown address.
    pub(super) audit_email: Option<&'a str>,
    /// The request's id.
    pub(super) request_id: &'a str,
    /// Why it failed.
    pub(super) reason: &'static str,
}

/// A failed attempt changes nothing, so its audit entry has a transaction of its own. It names the user, or the unknown
/// address, and never the password.
pub(super) async fn record_failure(
    database: &Database,
    business: BusinessId,
    user: Option<UserId>,
    failure: &Failure<'_>,
) -> Result<(), Error> {
    let reason = failure.reason;
    let (entity_type, entity_id, after): (_, _, Value) = match user {
        Some(user) => ("user", user.0, json!({"reason": reason})),
        None => (
            failure.unknown,
            Uuid::nil(),
            json!({"reason": reason, "email": failure.audit_email}),
        ),
    };
    retry(|| async {
        let transaction = database.begin(business).await?;
        let actor = Actor {
            business_id: business,
            user_id: UserId(Uuid::nil()),
            role: audit::NOBODY,
            request_id: failure.request_id,
        };
        let change = Change {
            action: failure.action,
            entity_type,
            entity_id,
            before: None,
            after: after.clone(),
        };
        audit::record_as(&transaction, actor, change).await?;
        transaction.commit().await
    })
    .await
}

/// The caller's own user and business.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn profile(database: &Database, caller: &Caller) -> Result<Profile, Error> {
    let transaction = database.begin_read(caller.business_id).await?;
    let business = businesses::read(&transaction, caller.business_id).await?;
    let user = users::Entity::by_id(caller.business_id, caller.user_id)
        .one(&transaction)
        .await?;
    transaction.commit().await?;
    Ok(Profile { user, business })
}
