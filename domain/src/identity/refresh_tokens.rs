//! Rows of refresh tokens: issue, mark as used, revoke, delete. [`crate::identity::refresh`] has the rules.
//!
//! The caller locks the user's row, which is the lock of all their tokens.

use std::time::Duration;

use chrono::Utc;
use entity::{BusinessId, RefreshTokenId, Tenant, UserId, refresh_tokens};
use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::foundation::locks;
use crate::foundation::retention;
use crate::foundation::secret::{self, Kind, Secret};
use crate::{Database, Error, Transaction};

pub(super) const REFRESH_TOKEN: Kind = Kind("tl_refresh_");

/// Writes the next token of a family.
pub(crate) async fn issue(
    transaction: &Transaction,
    business: BusinessId,
    user: UserId,
    family: Uuid,
    lifetime: Duration,
) -> Result<Secret, Error> {
    let token = REFRESH_TOKEN.make(business);
    let row = refresh_tokens::ActiveModel {
        business_id: Set(business),
        id: Set(RefreshTokenId::new()),
        family_id: Set(family),
        user_id: Set(user),
        token_hash: Set(secret::hash(token.reveal()).to_vec()),
        expires_at: Set(Utc::now() + lifetime),
        ..Default::default()
    };
    refresh_tokens::Entity::insert(row)
        .exec_without_returning(transaction)
        .await?;
    Ok(token)
}

pub(super) async fn mark_used(
    transaction: &Transaction,
    token: &refresh_tokens::Model,
) -> Result<(), Error> {
    refresh_tokens::Entity::update_of(token.business_id)
        .filter(refresh_tokens::Column::Id.eq(token.id))
        .col_expr(refresh_tokens::Column::UsedAt, Expr::value(Utc::now()))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Revokes the tokens of a locked user, except those of the login `kept`. Returns how many were still valid.
pub(super) async fn revoke_of(
    transaction: &Transaction,
    business: BusinessId,
    user: UserId,
    kept: Option<Uuid>,
) -> Result<u64, Error> {
    let mut its = refresh_tokens::Column::UserId.eq(user);
    if let Some(kept) = kept {
        its = its.and(refresh_tokens::Column::FamilyId.ne(kept));
    }
    revoke(transaction, business, its).await
}

pub(super) async fn revoke(
    transaction: &Transaction,
    business: BusinessId,
    which: SimpleExpr,
) -> Result<u64, Error> {
    let revoked = refresh_tokens::Entity::update_of(business)
        .filter(which)
        .filter(refresh_tokens::Column::RevokedAt.is_null())
        .col_expr(refresh_tokens::Column::RevokedAt, Expr::value(Utc::now()))
        .exec(transaction)
        .await?;
    Ok(revoked.rows_affected)
}

/// Deletes expired tokens of a business. Returns how many. Used tokens stay until they expire, so that a second use is
/// detected.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn delete_expired(database: &Database, business: BusinessId) -> Result<u64, Error> {
    retention::delete::<refresh_tokens::Entity>(
        database,
        business,
        locks::expired_refresh_tokens(business),
    )
    .await
}
