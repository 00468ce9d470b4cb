//! Sessions: the logins of browsers, which hold a random text in a cookie.
//!
//! A session lasts 30 days at most, and for staff 12 hours without a request. A logout, a change of the password, and
//! whatever revokes the user's access tokens end it: at once in this process, and within 1 s in others.
//!
//! The rows of sessions in use are cached for [`MAX_AGE`]. [`crate::RevocationCache`] says of each request whether the
//! cached session is still open, so a request costs no read of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use entity::{BusinessId, SessionId, Tenant, UserId, sessions, users};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;

use crate::audit::{self, Action, Change};
use crate::foundation::retry::retry;
use crate::foundation::secret;
use crate::identity::revocation::UserToken;
use crate::identity::session_rows::{self, SESSION};
use crate::identity::users as user_records;
use crate::{Authority, Caller, Database, Error, RevocationCache};

/// The time for which a session's row is cached. It is shorter than the time for which ended sessions are looked for.
const MAX_AGE: Duration = Duration::from_secs(60);
/// The number of cached sessions, about 250 bytes each.
const CAPACITY: usize = 65_536;
/// The longest time between two requests in a session of staff.
const STAFF_IDLE: TimeDelta = TimeDelta::hours(12);
/// The shortest time between two writes of a session's last use.
const NOTE_INTERVAL: TimeDelta = TimeDelta::minutes(5);
/// The most sessions that a user sees in the list.
const MAX_LISTED: u64 = 100;

/// An open session with its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The session's id, which is also the id of the login.
    pub id: SessionId,
    /// The user who has logged in.
    pub user_id: UserId,
    /// The user's name, for pages. A change of it shows within a minute.
    pub user_name: String,
    /// The permissions of the user.
    pub authority: Authority,
    /// When it expires at the latest.
    pub expires_at: DateTime<Utc>,
    user_version: i32,
}

/// The sessions in use, as far as this process knows them.
#[derive(Debug, Default)]
pub struct SessionCache {
    entries: Mutex<HashMap<Key, Entry>>,
}

/// The business, and the hash of the cookie's value.
type Key = (BusinessId, [u8; 32]);

#[derive(Debug, Clone)]
struct Entry {
    session: Arc<Session>,
    until: Instant,
}

impl SessionCache {
    /// The open session of this business whose cookie has this value.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`]: without a current revocation cache no session is accepted.
    pub async fn find(
        &self,
        database: &Database,
        revocations: &RevocationCache,
        business: BusinessId,
        text: &str,
    ) -> Result<Option<Arc<Session>>, Error> {
        if SESSION.business_of(text) != Some(business) {
            return Ok(None);
        }
        let key = (business, secret::hash(text));
        let session = match self.cached(&key) {
            Some(session) => session,
            None => match read(database, key).await? {
                Some(session) => self.remember(key, session),
                None => return Ok(None),
            },
        };
        let token = UserToken {
            user: session.user_id,
            version: session.user_version,
            login: Some(session.id.0),
        };
        let is_open = session.expires_at > Utc::now()
            && revocations
                .is_open(database, business, session.id, token)
                .await?;
        if !is_open {
            self.entries().remove(&key);
        }
        Ok(is_open.then_some(session))
    }

    fn cached(&self, key: &Key) -> Option<Arc<Session>> {
        let entries = self.entries();
        let entry = entries.get(key)?;
        (Instant::now() < entry.until).then(|| Arc::clone(&entry.session))
    }

    fn remember(&self, key: Key, session: Session) -> Arc<Session> {
        let (session, now) = (Arc::new(session), Instant::now());
        let mut entries = self.entries();
        if entries.len() >= CAPACITY {
            entries.retain(|_, entry| now < entry.until);
            // Clearing costs one read per session. Finding the oldest entry would cost every insertion.
            if entries.len() >= CAPACITY {
                entries.clear();
            }
        }
        let entry = Entry {
            session: Arc::clone(&session),
            until: now + MAX_AGE,
        };
        entries.insert(key, entry);
        session
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads an open session with its user, and notes its use.
async fn read(database: &Database, (business, hash): Key) -> Result<Option<Session>, Error> {
    let found = retry(|| async {
        let transaction = database.begin_read(business).await?;
        let session = sessions::Entity::of(business)
            .filter(sessions::Column::TokenHash.eq(hash.to_vec()))
            .one(&transaction)
            .await?;
        let Some(session) = session else {
            return Ok(None);
        };
        let user = users::Entity::by_id(business, session.user_id)
            .one(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(user.map(|user| (session, user)))
    });
    let now = Utc::now();
    let Some((row, user)) = found.await?.filter(|(row, user)| is_open(row, user, now)) else {
        return Ok(None);
    };
    if row.last_used_at < now - NOTE_INTERVAL {
        note_use(database, business, row.id).await?;
    }
    Ok(Some(Session {
        id: row.id,
        user_id: user.id,
        authority: user_records::authority(&user)?,
        user_name: user.name,
        expires_at: row.expires_at,
        user_version: row.user_version,
    }))
}

/// Whether a session is open, as far as its row and its user's tell. A version of the service that knows no sessions
/// disables users without ending them.
fn is_open(row: &sessions::Model, user: &users::Model, now: DateTime<Utc>) -> bool {
    let is_idle = user.role != users::Role::Customer && row.last_used_at < now - STAFF_IDLE;
    let is_kept = |(login, from)| login == row.id.0 && row.user_version >= from;
    let is_current = row.user_version >= user.version || user.kept().is_some_and(is_kept);
    row.ended_at.is_none()
        && row.expires_at > now
        && !is_idle
        && is_current
        && user.disabled_at.is_none()
}

async fn note_use(database: &Database, business: BusinessId, id: SessionId) -> Result<(), Error> {
    retry(|| async {
        let transaction = database.begin(business).await?;
        sessions::Entity::update_of(business)
            .filter(sessions::Column::Id.eq(id))
            .filter(sessions::Column::EndedAt.is_null())
            .col_expr(sessions::Column::LastUsedAt, Expr::value(Utc::now()))
            .exec(&transaction)
            .await?;
        transaction.commit().await
    })
    .await
}

/// The caller's own open sessions, the newest first, at most [`MAX_LISTED`].
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(database: &Database, caller: &Caller) -> Result<Vec<sessions::Model>, Error> {
    let business = caller.business_id;
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let user = users::Entity::by_id(business, caller.user_id)
            .one(&transaction)
            .await?;
        let rows = sessions::Entity::of(business)
            .filter(sessions::Column::UserId.eq(caller.user_id))
            .filter(sessions::Column::EndedAt.is_null())
            .order_by_desc(sessions::Column::Id)
            .limit(MAX_LISTED)
            .all(&transaction)
            .await?;
        transaction.commit().await?;
        let (now, rows) = (Utc::now(), rows.into_iter());
        Ok(match user {
            Some(user) => rows.filter(|row| is_open(row, &user, now)).collect(),
            None => Vec::new(),
        })
    })
    .await
}

/// Ends one of the caller's own sessions. Any other id has no effect and gets the same response.
///
/// # Errors
/// [`Error::DatabaseUnavailable`]; [`Error::OutcomeUnknown`].
pub async fn end(
    database: &Database,
    revocations: &RevocationCache,
    caller: &Caller,
    id: SessionId,
) -> Result<(), Error> {
    let business = caller.business_id;
    let ended = retry(|| async {
        let transaction = database.begin(business).await?;
        let its = sessions::Column::UserId
            .eq(caller.user_id)
            .and(sessions::Column::Id.eq(id));
        if session_rows::end(&transaction, business, its).await? > 0 {
            let change = Change {
                action: Action::UserLoggedOut,
                entity_type: "user",
                entity_id: caller.user_id.0,
                before: None,
                after: json!({"session_id": id}),
            };
            audit::record(&transaction, caller, change).await?;
        }
        transaction.commit().await
    })
    .await;
    // Also after an error: the commit may have succeeded with a lost response.
    revocations.forget(business);
    ended
}
