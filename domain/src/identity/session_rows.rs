//! Rows of sessions: open, end, delete. [`crate::identity::sessions`] has the rules.
//!
//! The caller that opens or ends all sessions of a user locks the user's row.

use chrono::{TimeDelta, Utc};
use entity::{BusinessId, SessionId, Tenant, UserId, sessions, users};
use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::foundation::locks;
use crate::foundation::retention;
use crate::foundation::secret::{self, Kind, Secret};
use crate::{Database, Error, Transaction};

pub(super) const SESSION: Kind = Kind("tl_session_");

/// The lifetime of a session.
const LIFE: TimeDelta = TimeDelta::days(30);

/// The characters of `User-Agent` that are kept.
const USER_AGENT_CHARS: usize = 200;

/// A session that was opened.
pub(super) struct Opened {
    pub(super) id: SessionId,
    pub(super) token: Secret,
}

/// Opens a session of a locked user.
pub(super) async fn open(
    transaction: &Transaction,
    user: &users::Model,
    user_agent: Option<&str>,
) -> Result<Opened, Error> {
    let (id, token) = (SessionId::new(), SESSION.make(user.business_id));
    let now = Utc::now();
    let row = sessions::ActiveModel {
        business_id: Set(user.business_id),
        id: Set(id),
        user_id: Set(user.id),
        user_version: Set(user.version),
        token_hash: Set(secret::hash(token.reveal()).to_vec()),
        user_agent: Set(user_agent.and_then(shown)),
        created_at: Set(now),
        last_used_at: Set(now),
        expires_at: Set(now + LIFE),
        ended_at: Set(None),
    };
    sessions::Entity::insert(row)
        .exec_without_returning(transaction)
        .await?;
    Ok(Opened { id, token })
}

/// The part of `User-Agent` that is kept, without what cannot be shown.
fn shown(user_agent: &str) -> Option<String> {
    let shown = user_agent.chars().filter(|letter| !letter.is_control());
    let shown: String = shown.take(USER_AGENT_CHARS).collect();
    (!shown.is_empty()).then_some(shown)
}

/// Ends the sessions of a locked user, except `kept`.
pub(super) async fn end_of(
    transaction: &Transaction,
    business: BusinessId,
    user: UserId,
    kept: Option<Uuid>,
) -> Result<(), Error> {
    let mut its = sessions::Column::UserId.eq(user);
    if let Some(kept) = kept {
        its = its.and(sessions::Column::Id.ne(kept));
    }
    end(transaction, business, its).await.map(drop)
}

/// Ends the sessions that `which` selects. Returns how many were open.
pub(super) async fn end(
    transaction: &Transaction,
    business: BusinessId,
    which: SimpleExpr,
) -> Result<u64, Error> {
    let ended = sessions::Entity::update_of(business)
        .filter(which)
        .filter(sessions::Column::EndedAt.is_null())
        // The database's clock: processes ask it for what ended a moment ago.
        .col_expr(sessions::Column::EndedAt, Expr::current_timestamp())
        .exec(transaction)
        .await?;
    Ok(ended.rows_affected)
}

/// Deletes sessions of a business that have expired, or ended long ago. Returns how many.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn delete_expired(database: &Database, business: BusinessId) -> Result<u64, Error> {
    retention::delete::<sessions::Entity>(database, business, locks::expired_sessions(business))
        .await
}
