//! Refresh: renews a login with its refresh token, and ends it.
//!
//! A token is valid for one use, which returns the next token of its family. A second use means that the token was
//! copied, and nobody can tell by whom. The whole family is then revoked, and the user must log in again. Of several
//! concurrent uses of one token, one succeeds and the second revokes the family.
//!
//! Locks the user, whose row is the lock of all their tokens. The tokens need no lock of their own.

use std::time::Duration;

use chrono::{DateTime, Utc};
use entity::{BusinessId, Tenant, UserId, refresh_tokens as table, users};
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, Action, Actor, Change};
use crate::foundation::retry::retry;
use crate::foundation::secret::{self, Secret};
use crate::identity::login::Login;
use crate::identity::refresh_tokens::{self, REFRESH_TOKEN};
use crate::identity::users as user_records;
use crate::{BusinessCache, Caller, Database, Error, Transaction};

/// The decision about a presented token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worth {
    /// Issue the next token of the family, and an access token.
    Next,
    /// Reject: the token has expired or was revoked, or its user is disabled.
    Nothing,
    /// Revoke the family: the token was used before.
    Alarm,
}

fn worth(token: &table::Model, user: &users::Model, now: DateTime<Utc>) -> Worth {
    let is_over =
        token.revoked_at.is_some() || token.expires_at <= now || user.disabled_at.is_some();
    match token.used_at {
        _ if is_over => Worth::Nothing,
        Some(_) => Worth::Alarm,
        None => Worth::Next,
    }
}

/// Uses a token. `lifetime` is that of the next one.
///
/// # Errors
/// [`Error::InvalidCredentials`], whatever is wrong with the token; [`Error::DatabaseUnavailable`].
pub async fn refresh(
    database: &Database,
    directory: &BusinessCache,
    token: &Secret,
    request_id: &str,
    lifetime: Duration,
) -> Result<Login, Error> {
    let named = REFRESH_TOKEN.business_of(token.reveal());
    let id = named.ok_or(Error::InvalidCredentials)?;
    let business = directory.by_unproven_id(database, id).await?;
    let business = business.ok_or(Error::InvalidCredentials)?;
    let login = retry(|| async {
        let transaction = database.begin(business.id).await?;
        let Some((token, user)) = find(&transaction, business.id, token).await? else {
            return Ok(None);
        };
        let authority = user_records::authority(&user)?;
        match worth(&token, &user, Utc::now()) {
            Worth::Nothing => {
                // The token belongs to a login that was ended deliberately, and somebody still holds it.
                if token.revoked_at.is_some() {
                    let change = of_family(Action::RefreshTokenRefused, &token);
                    audit::record_as(&transaction, nobody(business.id, request_id), change).await?;
                    transaction.commit().await?;
                }
                Ok(None)
            }
            Worth::Alarm => {
                refresh_tokens::revoke(
                    &transaction,
                    business.id,
                    table::Column::FamilyId.eq(token.family_id),
                )
                .await?;
                let change = of_family(Action::RefreshTokenReused, &token);
                audit::record_as(&transaction, nobody(business.id, request_id), change).await?;
                // Committed although the request is rejected: the revocation must last.
                transaction.commit().await?;
                Ok(None)
            }
            Worth::Next => {
                refresh_tokens::mark_used(&transaction, &token).await?;
                let family = token.family_id;
                let token =
                    refresh_tokens::issue(&transaction, business.id, user.id, family, lifetime)
                        .await?;
                transaction.commit().await?;
                Ok(Some(Login {
                    user,
                    authority,
                    business: business.clone(),
                    login: family,
                    token,
                }))
            }
        }
    });
    login.await?.ok_or(Error::InvalidCredentials)
}

/// Ends the login that the token belongs to, if it is the caller's. Any other token has no effect and gets the same
/// response.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn log_out(database: &Database, caller: &Caller, token: &Secret) -> Result<(), Error> {
    if REFRESH_TOKEN.business_of(token.reveal()) != Some(caller.business_id) {
        return Ok(());
    }
    retry(|| async {
        let transaction = database.begin(caller.business_id).await?;
        let found = find(&transaction, caller.business_id, token).await?;
        let Some((token, _)) = found.filter(|(_, user)| user.id == caller.user_id) else {
            return Ok(());
        };
        let family = table::Column::FamilyId.eq(token.family_id);
        if refresh_tokens::revoke(&transaction, caller.business_id, family).await? > 0 {
            audit::record(
                &transaction,
                caller,
                of_family(Action::UserLoggedOut, &token),
            )
            .await?;
        }
        transaction.commit().await
    })
    .await
}

/// The token and its user, locked. The token is read again after the lock, because a concurrent request may have used
/// it meanwhile.
async fn find(
    transaction: &Transaction,
    business: BusinessId,
    token: &Secret,
) -> Result<Option<(table::Model, users::Model)>, Error> {
    let hash = secret::hash(token.reveal()).to_vec();
    let read = || {
        table::Entity::of(business)
            .filter(table::Column::TokenHash.eq(hash.clone()))
            .one(transaction)
    };
    let Some(token) = read().await? else {
        return Ok(None);
    };
    let user = user_records::lock(transaction, business, token.user_id).await?;
    Ok(read().await?.map(|token| (token, user)))
}

fn nobody(business_id: BusinessId, request_id: &str) -> Actor<'_> {
    Actor {
        business_id,
        user_id: UserId(Uuid::nil()),
        role: audit::NOBODY,
        request_id,
    }
}

fn of_family(action: Action, token: &table::Model) -> Change {
    Change {
        action,
        entity_type: "user",
        entity_id: token.user_id.0,
        before: None,
        after: json!({"family_id": token.family_id}),
    }
}
