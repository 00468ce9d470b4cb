//! The catalogue cache: what buyers read of the catalogue, for a moment.
//!
//! A product, a page of the list and the business's record are read from the database once for all who ask, and are at
//! most as old as the setting says, and the time of the read. A read that fails is not kept.
//!
//! - An entry belongs to one business, and holds what all buyers of the business see. What one customer has used of a
//!   sale's limit is read for that customer each time, so no customer can get the price of another.
//! - Prices, and whether a sale is open, are found when an entry is shown, by the database's time at that moment.
//! - Staff never get an entry of products: they see inactive ones, and read back what they wrote.
//! - Customers do not get one right after a write of their own ([`CatalogueCache::note_write`]).
//! - A change of the catalogue in this process makes all its entries of the business unreachable
//!   ([`CatalogueCache::forget`]). Sales of units do not, as a rush would leave nothing to share.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use entity::{BusinessId, CustomerId, ProductId, businesses};
use moka::future::Cache;
use moka::policy::EvictionPolicy;

use super::products::{self, Filter, Product, SharedProducts};
use super::sales::{self, InSales};
use crate::identity::businesses as records;
use crate::{Database, Error, Page, Paging};

/// The most memory for the entries of one kind, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// The memory of an entry's key and of the cache's own records, in bytes.
const ENTRY_BYTES: usize = 512;
/// The most customers whose own writes are remembered at a time.
const MAX_WRITERS: u64 = 100_000;

/// Entries of one process.
#[derive(Debug)]
pub struct CatalogueCache {
    /// `None` without a cache.
    entries: Option<Entries>,
}

/// A business, and the number of its changes: entries of earlier numbers are never found again.
type Tenant = (BusinessId, u64);

/// The key of a page of the list.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PageKey {
    tenant: Tenant,
    search: Option<String>,
    sku: Option<String>,
    limit: u64,
    after: Option<ProductId>,
}

/// A page of the list, and the key of the next.
type SharedPage = (SharedProducts, Option<ProductId>);

#[derive(Debug)]
struct Entries {
    businesses: Cache<Tenant, Arc<businesses::Model>>,
    products: Cache<(Tenant, ProductId), Arc<SharedProducts>>,
    pages: Cache<PageKey, Arc<SharedPage>>,
    writers: Cache<(BusinessId, CustomerId), ()>,
    changes: Mutex<HashMap<BusinessId, u64>>,
}

impl CatalogueCache {
    /// A cache whose entries are at most so old. Zero means none: each read is the database's.
    #[must_use]
    pub fn new(max_age: Duration) -> Self {
        Self {
            entries: (!max_age.is_zero()).then(|| Entries::new(max_age)),
        }
    }

    /// The business's record.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn business(
        &self,
        database: &Database,
        id: BusinessId,
    ) -> Result<Arc<businesses::Model>, Error> {
        let read = async || records::with_id(database, id).await;
        match &self.entries {
            Some(entries) => filled(&entries.businesses, entries.tenant(id), read).await,
            None => read().await.map(Arc::new),
        }
    }

    /// As [`products::read`].
    ///
    /// # Errors
    /// [`Error::ProductNotFound`]; [`Error::DatabaseUnavailable`].
    pub async fn product(
        &self,
        database: &Database,
        business: BusinessId,
        id: ProductId,
        reader: &Filter,
    ) -> Result<Product, Error> {
        let Some(entries) = self.entries_for(business, reader) else {
            return products::read(database, business, id, reader).await;
        };
        let key = (entries.tenant(business), id);
        let read = async || products::read_shared(database, business, id).await;
        let shared = filled(&entries.products, key, read).await?;
        let mut products = seen(database, business, &shared, reader.buyer).await?;
        products.pop().ok_or(Error::ProductNotFound(id))
    }

    /// As [`products::list`].
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn list(
        &self,
        database: &Database,
        business: BusinessId,
        filter: &Filter,
        paging: &Paging<ProductId>,
    ) -> Result<Page<Product, ProductId>, Error> {
        let Some(entries) = self.entries_for(business, filter) else {
            return products::list(database, business, filter, paging).await;
        };
        let key = PageKey {
            tenant: entries.tenant(business),
            search: filter.search.clone(),
            sku: filter.sku.clone(),
            limit: paging.limit,
            after: paging.after,
        };
        let read = async || products::list_shared(database, business, filter, paging).await;
        let page = filled(&entries.pages, key, read).await?;
        let (shared, next) = &*page;
        Ok(Page {
            rows: seen(database, business, shared, filter.buyer).await?,
            next: *next,
        })
    }

    /// Makes the entries of a business unreachable after a change of its record, its products or its sales. A read that
    /// began before is not kept for later readers.
    pub fn forget(&self, business: BusinessId) {
        if let Some(entries) = &self.entries {
            let mut changes = entries
                .changes
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *changes.entry(business).or_default() += 1;
        }
    }

    /// Lets a customer who writes something read from the database until no older entry is left.
    pub async fn note_write(&self, business: BusinessId, customer: CustomerId) {
        if let Some(entries) = &self.entries {
            entries.writers.insert((business, customer), ()).await;
        }
    }

    /// The entries, if this reader may get one of them.
    fn entries_for(&self, business: BusinessId, reader: &Filter) -> Option<&Entries> {
        let entries = self.entries.as_ref()?;
        let has_written = |buyer| entries.writers.contains_key(&(business, buyer));
        let is_shared = !reader.inactive_too && !reader.buyer.is_some_and(has_written);
        is_shared.then_some(entries)
    }
}

impl Entries {
    fn new(max_age: Duration) -> Self {
        Self {
            businesses: cache(max_age, |_| 0),
            products: cache(max_age, SharedProducts::bytes),
            pages: cache(max_age, |(shared, _): &SharedPage| shared.bytes()),
            writers: Cache::builder()
                .max_capacity(MAX_WRITERS)
                .eviction_policy(EvictionPolicy::lru())
                // An entry of before the write is kept for `max_age` after the end of its read.
                .time_to_live(max_age * 2)
                .build(),
            changes: Mutex::default(),
        }
    }

    fn tenant(&self, business: BusinessId) -> Tenant {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        (business, changes.get(&business).copied().unwrap_or(0))
    }
}

/// The cache of one kind of entry. `bytes` is the memory of an entry without its key.
fn cache<K, V>(
    max_age: Duration,
    bytes: impl Fn(&V) -> usize + Send + Sync + 'static,
) -> Cache<K, Arc<V>>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    Cache::builder()
        .weigher(move |_key, entry: &Arc<V>| {
            u32::try_from(ENTRY_BYTES + bytes(entry)).unwrap_or(u32::MAX)
        })
        .max_capacity(MAX_BYTES)
        // The default policy admits a new key only when it is asked for more often than old ones, which expire anyway.
        .eviction_policy(EvictionPolicy::lru())
        .time_to_live(max_age)
        .build()
}

/// The entry of this key. Of all who ask for it at the same time, one reads it. They share an error, which is not kept.
async fn filled<K, V>(
    cache: &Cache<K, Arc<V>>,
    key: K,
    read: impl AsyncFnOnce() -> Result<V, Error>,
) -> Result<Arc<V>, Error>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    let fill = async { read().await.map(Arc::new) };
    let entry = cache.entry(key).or_try_insert_with(fill).await;
    let entry = entry.map_err(|error| Error::clone(&error))?;
    match entry.is_fresh() {
        true => metrics::counter!("tradeline_catalogue_cache_fills_total").increment(1),
        false => metrics::counter!("tradeline_catalogue_cache_hits_total").increment(1),
    }
    Ok(entry.into_value())
}

/// The products for a new customer, or for a buyer with what they have used of open sales' limits. Costs a transaction
/// only for a buyer in sales with a limit.
async fn seen(
    database: &Database,
    business: BusinessId,
    shared: &SharedProducts,
    buyer: Option<CustomerId>,
) -> Result<Vec<Product>, Error> {
    let now = shared.now();
    let limits = shared.limits(now);
    let has = match buyer.filter(|_| !limits.is_empty()) {
        Some(buyer) => sales::read_in_sales(database, business, buyer, &limits).await?,
        None => InSales::new(),
    };
    Ok(shared.seen_with(&has, now))
}
