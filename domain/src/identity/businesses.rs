//! Businesses: look-up by id or slug with a cache, creation and changes.

mod change;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use entity::{BusinessId, Currency, Money, Tenant, businesses};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use tokio::sync::Semaphore;

use crate::{Database, Error, Transaction};

pub use change::{BusinessChange, HoldLimitsChange, change, of_caller, with_id};

/// The immutable attributes of a business, which may be cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Business {
    /// The business's id.
    pub id: BusinessId,
    /// The name in URLs and logins.
    pub slug: String,
    /// The currency of all amounts.
    pub currency: Currency,
}

/// The business cache of this process. Every request starts from a business, so each is read once per process.
#[derive(Debug, Default)]
pub struct BusinessCache {
    known: RwLock<Known>,
    unproven_lookups: UnprovenLookups,
}

/// The maximum of concurrent look-ups of unproven ids.
const MAX_UNPROVEN_LOOKUPS: usize = 2;
/// The maximum wait for such a look-up.
const UNPROVEN_LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct UnprovenLookups(Semaphore);

impl Default for UnprovenLookups {
    fn default() -> Self {
        Self(Semaphore::new(MAX_UNPROVEN_LOOKUPS))
    }
}

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<BusinessId, Arc<Business>>,
    ids: HashMap<String, BusinessId>,
}

impl BusinessCache {
    /// A cache that holds these businesses.
    #[must_use]
    pub fn of(businesses: impl IntoIterator<Item = Business>) -> Self {
        let directory = Self::default();
        for business in businesses {
            directory.remember(business);
        }
        directory
    }

    /// The business with this id, if it exists. Reads the database on a miss only.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn by_id(
        &self,
        database: &Database,
        id: BusinessId,
    ) -> Result<Option<Arc<Business>>, Error> {
        if let Some(known) = self.known_by_id(id) {
            return Ok(Some(known));
        }
        let transaction = database.begin(id).await?;
        let row = businesses::Entity::of(id).one(&transaction).await?;
        Ok(row.map(|row| self.remember(row.into())))
    }

    /// Like [`BusinessCache::by_id`], for an id that a client may have invented, such as that of an unverified key.
    /// Only a few unknown ids are looked up at a time, so random keys cannot occupy the database.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when too many requests wait; [`Error::DatabaseUnavailable`].
    pub async fn by_unproven_id(
        &self,
        database: &Database,
        id: BusinessId,
    ) -> Result<Option<Arc<Business>>, Error> {
        if let Some(known) = self.known_by_id(id) {
            return Ok(Some(known));
        }
        let turn =
            tokio::time::timeout(UNPROVEN_LOOKUP_TIMEOUT, self.unproven_lookups.0.acquire()).await;
        let _turn = turn
            .map_err(|_too_long| Error::Overloaded)?
            .map_err(|closed| Error::Bug(closed.to_string()))?;
        // Another request may have cached it meanwhile.
        self.by_id(database, id).await
    }

    /// The business with this slug or id, if it exists.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn by_name(
        &self,
        database: &Database,
        slug_or_id: &str,
    ) -> Result<Option<Arc<Business>>, Error> {
        if let Ok(id) = slug_or_id.parse() {
            return self.by_id(database, id).await;
        }
        let met = {
            let known = self.known();
            let id = known.ids.get(slug_or_id);
            id.and_then(|id| known.by_id.get(id)).cloned()
        };
        if met.is_some() {
            return Ok(met);
        }
        // The slug becomes part of the statement's text, so only letters, digits and hyphens are allowed.
        let is_slug = slug_or_id.len() <= 63
            && slug_or_id
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !is_slug {
            return Ok(None);
        }
        let row = named(database, slug_or_id).await?;
        Ok(row.map(|row| self.remember(row.into())))
    }

    /// Whether the business is cached, so that a look-up needs no database.
    #[must_use]
    pub fn knows(&self, id: BusinessId) -> bool {
        self.known().by_id.contains_key(&id)
    }

    /// The ids of the cached businesses.
    #[must_use]
    pub fn met(&self) -> Vec<BusinessId> {
        self.known().by_id.keys().copied().collect()
    }

    fn known_by_id(&self, id: BusinessId) -> Option<Arc<Business>> {
        self.known().by_id.get(&id).cloned()
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, business: Business) -> Arc<Business> {
        let business = Arc::new(business);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.ids.insert(business.slug.clone(), business.id);
        known.by_id.insert(business.id, Arc::clone(&business));
        business
    }
}

impl From<businesses::Model> for Business {
    fn from(row: businesses::Model) -> Self {
        Self {
            id: row.id,
            slug: row.slug,
            currency: row.currency,
        }
    }
}

/// Reads a business by slug, before its id is known. The row policy `named` shows only the row with this slug.
async fn named(database: &Database, slug: &str) -> Result<Option<businesses::Model>, Error> {
    let transaction = database
        .begin_with(&format!("app.business_slug = '{slug}'"), &[])
        .await?;
    #[expect(clippy::disallowed_methods, reason = "this read finds the tenant")]
    let row = businesses::Entity::find()
        .filter(businesses::Column::Slug.eq(slug))
        .one(&transaction)
        .await?;
    Ok(row)
}

/// The business as it is now, with its mutable columns.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub(crate) async fn read(
    transaction: &Transaction,
    id: BusinessId,
) -> Result<businesses::Model, Error> {
    businesses::Entity::of(id)
        .one(transaction)
        .await?
        .ok_or_else(|| Error::Bug(format!("business {id} does not exist")))
}

/// The business in the format of audit entries.
pub(super) fn audit_snapshot(business: &businesses::Model) -> Value {
    let text = |amount: Option<Money>| amount.map(|amount| amount.to_text(business.currency));
    json!({
        "slug": business.slug,
        "name": business.name,
        "currency": business.currency,
        "block_after_days": business.block_after_days,
        "time_zone": business.time_zone,
        "books_closed_until": business.books_closed_until,
        "hold_limits": {
            "units": business.hold_limit_units,
            "value": text(business.hold_limit_value),
            "self_registered_units": business.self_registered_hold_limit_units,
            "self_registered_value": text(business.self_registered_hold_limit_value),
        },
    })
}
