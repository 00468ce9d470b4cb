//! The revocation cache: tells without a database read per request whether a credential is still valid.
//!
//! For each business in use, a process caches the API keys, and the users whose version changed within the longest
//! lifetime of a token. The cache is at most 1 s old: a background read renews it after half of that, and a request
//! after all of it. A process forgets at once what it changes. Revocation therefore takes effect at once in the same
//! process, and within 1 s in all others.
//!
//! An unknown key may have been created in another process just now, so the cache is read once more before the key is
//! rejected. All waiting requests share such reads, which are at least 100 ms apart. Random keys therefore cost a
//! business ten reads a second and no memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use entity::api_keys::KeyRole;
use entity::{ApiKeyId, BusinessId, Tenant, UserId, api_keys, users};
use sea_orm::{ColumnTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use crate::foundation::retry::retry;
use crate::foundation::secret;
use crate::{Authority, Database, Error};

/// The maximum age of the cache.
const MAX_AGE: Duration = Duration::from_secs(1);
/// The age from which a background read renews it.
const RENEW_AFTER: Duration = Duration::from_millis(500);
/// The minimal time between reads for unknown keys.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// The longest lifetime of a user's access token that the configuration allows, plus an hour for clock differences.
const TOKEN_LIFE: chrono::Duration = chrono::Duration::hours(25);

/// A valid API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The key's id, which is the actor of its requests.
    pub id: ApiKeyId,
    /// The permissions of requests with the key.
    pub authority: Authority,
}

/// An access token's statements about its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserToken {
    /// The user.
    pub user: UserId,
    /// The user's version when the token was issued.
    pub version: i32,
    /// The login for which it was issued. Tokens of earlier versions of the service name none.
    pub login: Option<Uuid>,
}

/// The tokens of a user that are valid.
#[derive(Debug, Clone, Copy)]
struct Current {
    version: i32,
    /// The login that the last change of the password did not end, and the oldest version of its tokens.
    kept: Option<(Uuid, i32)>,
}

impl Current {
    fn accepts(self, token: UserToken) -> bool {
        let is_kept = |(login, from)| token.login == Some(login) && token.version >= from;
        token.version >= self.version || self.kept.is_some_and(is_kept)
    }
}

/// The validity of all credentials, as far as this process knows it.
#[derive(Debug, Default)]
pub struct RevocationCache {
    businesses: Mutex<HashMap<BusinessId, Arc<Remembered>>>,
}

/// The cache of one business.
#[derive(Debug, Default)]
struct Remembered {
    known: Mutex<Option<Arc<Known>>>,
    /// Increases when earlier reads become invalid.
    generation: AtomicU64,
    /// The lock of the reading task: one at a time, for all requests.
    reading: Arc<tokio::sync::Mutex<()>>,
    /// When a read last failed, and why.
    failed: Mutex<Option<(Instant, Error)>>,
}

/// The result of one read.
#[derive(Debug)]
struct Known {
    /// When the read began.
    at: Instant,
    generation: u64,
    users: HashMap<UserId, Current>,
    keys: HashMap<[u8; 32], Key>,
}

impl RevocationCache {
    /// Whether an access token is still valid.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`]: without a current cache no token is accepted.
    pub async fn is_current(
        &self,
        database: &Database,
        business: BusinessId,
        token: UserToken,
    ) -> Result<bool, Error> {
        let known = self.of(business).recent(database, business).await?;
        // A token may be newer than the cache.
        let current = known.users.get(&token.user);
        Ok(current.is_none_or(|current| current.accepts(token)))
    }

    /// The key with this text, if it is valid. `business` is the one that the key names, and must exist.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`]: without a current cache no key is accepted.
    pub async fn key(
        &self,
        database: &Database,
        business: BusinessId,
        text: &str,
    ) -> Result<Option<Key>, Error> {
        let (hash, arrived) = (secret::hash(text), Instant::now());
        let remembered = self.of(business);
        let known = remembered.recent(database, business).await?;
        if let Some(key) = known.keys.get(&hash) {
            return Ok(Some(*key));
        }
        let known = remembered.since(arrived, database, business).await?;
        Ok(known.keys.get(&hash).copied())
    }

    /// Discards the cache of a business after a change.
    pub(crate) fn forget(&self, business: BusinessId) {
        self.of(business).generation.fetch_add(1, Ordering::SeqCst);
    }

    fn of(&self, business: BusinessId) -> Arc<Remembered> {
        let mut businesses = lock(&self.businesses);
        Arc::clone(businesses.entry(business).or_default())
    }
}

impl Remembered {
    /// The cache, if it is within the maximum age; otherwise reads it.
    async fn recent(
        self: &Arc<Self>,
        database: &Database,
        business: BusinessId,
    ) -> Result<Arc<Known>, Error> {
        if let Some(known) = self.known().filter(|known| known.at.elapsed() < MAX_AGE) {
            if known.at.elapsed() > RENEW_AFTER {
                self.renew(database, business);
            }
            return Ok(known);
        }
        let arrived = Instant::now();
        let _reading = self.reading.lock().await;
        self.unless_failed_since(arrived)?;
        match self.known().filter(|known| known.at.elapsed() < MAX_AGE) {
            Some(known) => Ok(known),
            None => self.read(database, business).await,
        }
    }

    /// A result whose read began after that moment.
    async fn since(
        &self,
        moment: Instant,
        database: &Database,
        business: BusinessId,
    ) -> Result<Arc<Known>, Error> {
        let _reading = self.reading.lock().await;
        self.unless_failed_since(moment)?;
        let Some(known) = self.known() else {
            return self.read(database, business).await;
        };
        if known.at >= moment {
            return Ok(known);
        }
        tokio::time::sleep(CHECK_INTERVAL.saturating_sub(known.at.elapsed())).await;
        self.read(database, business).await
    }

    /// A request that waited while a read failed gets that error. Without a database each read takes seconds: in a
    /// queue, clients would give up before their response.
    fn unless_failed_since(&self, moment: Instant) -> Result<(), Error> {
        match &*lock(&self.failed) {
            Some((at, error)) if *at >= moment => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Reads in the background, unless another task is reading.
    fn renew(self: &Arc<Self>, database: &Database, business: BusinessId) {
        let Ok(reading) = Arc::clone(&self.reading).try_lock_owned() else {
            return;
        };
        let (remembered, database) = (Arc::clone(self), database.clone());
        tokio::spawn(async move {
            let _reading = reading;
            if let Err(error) = remembered.read(&database, business).await {
                tracing::warn!(%error, %business, "the revocation of credentials cannot be read");
            }
        });
    }

    /// The cached result, unless it was discarded.
    fn known(&self) -> Option<Arc<Known>> {
        let known = lock(&self.known).clone();
        known.filter(|known| known.generation == self.generation.load(Ordering::SeqCst))
    }

    async fn read(&self, database: &Database, business: BusinessId) -> Result<Arc<Known>, Error> {
        let known = retry(|| async {
            // Both are taken before the read: a change during the read must not count as known.
            let (at, generation) = (Instant::now(), self.generation.load(Ordering::SeqCst));
            let transaction = database.begin_read(business).await?;
            let changed: Vec<ChangedUser> = users::Entity::of(business)
                .select_only()
                .columns([
                    users::Column::Id,
                    users::Column::Version,
                    users::Column::KeptLogin,
                    users::Column::KeptFromVersion,
                    users::Column::KeptAtVersion,
                ])
                .filter(users::Column::VersionChangedAt.gt(Utc::now() - TOKEN_LIFE))
                .into_tuple()
                .all(&transaction)
                .await?;
            let keys = api_keys::Entity::of(business)
                .filter(api_keys::Column::RevokedAt.is_null())
                .all(&transaction)
                .await?;
            transaction.commit().await?;
            Ok(Known {
                at,
                generation,
                users: changed.into_iter().map(current).collect(),
                keys: keys.into_iter().filter_map(entry).collect(),
            })
        });
        let known = known.await.inspect_err(|error| {
            *lock(&self.failed) = Some((Instant::now(), error.clone()));
        });
        let known = Arc::new(known?);
        *lock(&self.known) = Some(Arc::clone(&known));
        Ok(known)
    }
}

/// The columns of [`entity::users::kept`], after the id.
type ChangedUser = (UserId, i32, Option<Uuid>, Option<i32>, Option<i32>);

fn current((id, version, login, from, at): ChangedUser) -> (UserId, Current) {
    let kept = users::kept(version, login, from, at);
    (id, Current { version, kept })
}

fn entry(row: api_keys::Model) -> Option<([u8; 32], Key)> {
    let key = Key {
        id: row.id,
        authority: authority(row.role),
    };
    // The database stores no hash of another length.
    Some((row.key_hash.try_into().ok()?, key))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The permissions of requests with a key.
fn authority(role: KeyRole) -> Authority {
    match role {
        KeyRole::Admin => Authority::Admin,
        KeyRole::Staff => Authority::Staff,
    }
}
