//! Whether a credential still stands, without asking the database for each request.
//!
//! Of each business that is called, a process remembers its keys and the users whose version has changed within the life
//! of the longest token. What it remembers is never older than a second: it is read anew in the background after half of
//! that, and before an answer after all of it. What this process changes it forgets at once. So a token or a key that
//! was made void stops at once where that was done, and within a second everywhere else.
//!
//! A key that is not remembered may have been made just now, elsewhere, so it is looked for once more before it is
//! refused. Such looks are shared by all who wait for one and come a tenth of a second apart: random keys cost a
//! business's database ten reads a second and no memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use entity::api_keys::KeyRole;
use entity::{ApiKeyId, BusinessId, Tenant, UserId, api_keys, users};
use sea_orm::{ColumnTrait, QueryFilter, QuerySelect};

use crate::foundation::retry::retry;
use crate::foundation::secret;
use crate::{Authority, Database, Error};

/// How old may be what is remembered.
const MAX_AGE: Duration = Duration::from_secs(1);
/// From what age on it is read anew in the background.
const RENEW_AFTER: Duration = Duration::from_millis(500);
/// How far apart are the looks for keys that are not remembered.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest life of an access token of a user, which the setting allows, and an hour for clocks that differ.
const TOKEN_LIFE: chrono::Duration = chrono::Duration::hours(25);

/// A key that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its id, as which its holder acts.
    pub id: ApiKeyId,
    /// What its holder may do.
    pub authority: Authority,
}

/// The standing of all credentials, as this process knows it.
#[derive(Debug, Default)]
pub struct RevocationCache {
    businesses: Mutex<HashMap<BusinessId, Arc<Remembered>>>,
}

/// What is remembered of one business.
#[derive(Debug, Default)]
struct Remembered {
    known: Mutex<Option<Arc<Known>>>,
    /// Rises when what was read before is void.
    generation: AtomicU64,
    /// Held by who reads: one at a time, for all.
    reading: Arc<tokio::sync::Mutex<()>>,
    /// When a reading last failed, and why.
    failed: Mutex<Option<(Instant, Error)>>,
}

/// What was read.
#[derive(Debug)]
struct Known {
    /// When the reading began.
    at: Instant,
    generation: u64,
    versions: HashMap<UserId, i32>,
    keys: HashMap<[u8; 32], Key>,
}

impl RevocationCache {
    /// Whether a token of this user that was made at this version still stands.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`]: what cannot be known is not believed.
    pub async fn is_current(
        &self,
        database: &Database,
        business: BusinessId,
        user: UserId,
        version: i32,
    ) -> Result<bool, Error> {
        let known = self.of(business).recent(database, business).await?;
        // A token may be younger than what is remembered.
        let current = known.versions.get(&user);
        Ok(current.is_none_or(|current| version >= *current))
    }

    /// The key with this text, if it stands. The business is the one that the key names, and must exist.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`]: what cannot be known is not believed.
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

    /// Forgets what is remembered of a business: it has changed.
    pub(crate) fn forget(&self, business: BusinessId) {
        self.of(business).generation.fetch_add(1, Ordering::SeqCst);
    }

    fn of(&self, business: BusinessId) -> Arc<Remembered> {
        let mut businesses = lock(&self.businesses);
        Arc::clone(businesses.entry(business).or_default())
    }
}

impl Remembered {
    /// What is remembered, if it is not older than it may be.
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

    /// What was read after that moment.
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
        tokio::time::sleep(LOOK_EVERY.saturating_sub(known.at.elapsed())).await;
        self.read(database, business).await
    }

    /// Who waited while a reading failed takes its failure. When the database is gone, each reading lasts for seconds:
    /// one after another, those who wait would be answered long after they had given up.
    fn unless_failed_since(&self, moment: Instant) -> Result<(), Error> {
        match &*lock(&self.failed) {
            Some((at, error)) if *at >= moment => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Reads in the background, unless someone reads already.
    fn renew(self: &Arc<Self>, database: &Database, business: BusinessId) {
        let Ok(reading) = Arc::clone(&self.reading).try_lock_owned() else {
            return;
        };
        let (remembered, database) = (Arc::clone(self), database.clone());
        tokio::spawn(async move {
            let _reading = reading;
            if let Err(error) = remembered.read(&database, business).await {
                tracing::warn!(%error, %business, "the standing of credentials cannot be read");
            }
        });
    }

    /// What is remembered, unless it is void.
    fn known(&self) -> Option<Arc<Known>> {
        let known = lock(&self.known).clone();
        known.filter(|known| known.generation == self.generation.load(Ordering::SeqCst))
    }

    async fn read(&self, database: &Database, business: BusinessId) -> Result<Arc<Known>, Error> {
        let known = retry(|| async {
            // Both before the reading: what changes meanwhile must not seem to be known.
            let (at, generation) = (Instant::now(), self.generation.load(Ordering::SeqCst));
            let transaction = database.begin_read(business).await?;
            let versions: Vec<(UserId, i32)> = users::Entity::of(business)
                .select_only()
                .columns([users::Column::Id, users::Column::Version])
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
                versions: versions.into_iter().collect(),
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

fn entry(row: api_keys::Model) -> Option<([u8; 32], Key)> {
    let key = Key {
        id: row.id,
        authority: authority(row.role),
    };
    // The database keeps no hash of another length.
    Some((row.key_hash.try_into().ok()?, key))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the holder of a key may do.
fn authority(role: KeyRole) -> Authority {
    match role {
        KeyRole::Admin => Authority::Admin,
        KeyRole::Staff => Authority::Staff,
    }
}
