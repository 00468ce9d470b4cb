//! Live availability of products, for any number of watchers.
//!
//! Watchers add no database load each. For each watched business, one task of this process polls all watched products
//! twice a second in one query. It notifies the watchers of a product only when its availability has changed. Changes
//! between two polls are merged into one, and a slow watcher gets only the newest state. A task ends when the last
//! watcher of its business has left.
//!
//! A product that was not watched before is polled out of turn, together with others that arrive at the same time.
//! When the database is unavailable, existing watchers wait for it, and new ones get the error.
//!
//! The tasks run on the runtime of the hub, not of the watchers, since a connection belongs to the thread that opened
//! it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use entity::{BusinessId, ProductId};
use sea_orm::{DbBackend, FromQueryResult, Statement};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use uuid::Uuid;

use crate::foundation::retry::retry;
use crate::stock::inventory::level::stock_level;
use crate::{Database, Error};

/// The time between two polls of the same product.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The shortest time between two polls for newly watched products.
const FIND_EVERY: Duration = Duration::from_millis(50);
/// The time to wait after a failed poll.
const PAUSE: Duration = Duration::from_secs(1);

/// The stock of a product, in units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Availability {
    /// Units that a new buyer could get; 0 while the waitlist is not empty.
    pub available: i64,
    /// Units on hand, held ones included.
    pub on_hand: i64,
    /// The number of reservations in its waitlist.
    pub waiting: i64,
}

/// The result of a poll for one product.
#[derive(Debug, Clone, Copy)]
pub struct Sight {
    /// The stock at that time.
    pub availability: Availability,
    /// The database's time of the poll.
    pub at: DateTime<Utc>,
}

/// What is known of a watched product.
#[derive(Debug, Clone)]
enum Seen {
    NotYet,
    /// The poll failed.
    Failed(Error),
    Missing,
    There {
        active: bool,
        sight: Sight,
    },
}

impl Seen {
    /// Whether a watcher would see a difference in `other`.
    fn differs_from(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Missing, Self::Missing) => false,
            (
                Self::There { active, sight },
                Self::There {
                    active: other_active,
                    sight: other,
                },
            ) => active != other_active || sight.availability != other.availability,
            _ => true,
        }
    }

    /// Whether the product exists for the watcher: inactive products only with `inactive_too`.
    fn is_shown(&self, inactive_too: bool) -> bool {
        matches!(self, Self::There { active, .. } if *active || inactive_too)
    }

    fn is_known(&self) -> bool {
        matches!(self, Self::Missing | Self::There { .. })
    }
}

/// The watched products of one business.
#[derive(Debug, Default)]
struct Watched {
    products: HashMap<ProductId, watch::Sender<Seen>>,
    /// Notified when a product is watched of which nothing is known yet.
    newcomer: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Watching {
    businesses: HashMap<BusinessId, Watched>,
    stopped: bool,
}

/// Watches products for all watchers. One per process.
#[derive(Debug)]
pub struct Hub {
    database: Database,
    /// The runtime of the connections.
    runtime: Handle,
    watching: Mutex<Watching>,
}

/// A watcher of one product.
#[derive(Debug)]
pub struct Watcher {
    hub: Arc<Hub>,
    business: BusinessId,
    product: ProductId,
    inactive_too: bool,
    seen: watch::Receiver<Seen>,
}

impl Hub {
    /// Makes a hub whose tasks run on the current runtime. `database` must be a pool of its own.
    #[must_use]
    pub fn new(database: Database) -> Arc<Self> {
        Arc::new(Self {
            database,
            runtime: Handle::current(),
            watching: Mutex::default(),
        })
    }

    /// Starts watching a product; an inactive product only with `inactive_too`.
    ///
    /// # Errors
    /// [`Error::ProductNotFound`]; [`Error::Overloaded`] when the hub has stopped; [`Error::DatabaseUnavailable`].
    pub async fn watch(
        self: &Arc<Self>,
        business: BusinessId,
        product: ProductId,
        inactive_too: bool,
    ) -> Result<Watcher, Error> {
        let mut watcher = Watcher {
            seen: self.join(business, product)?,
            hub: Arc::clone(self),
            business,
            product,
            inactive_too,
        };
        let was_known = watcher.seen.borrow().is_known();
        let known = watcher.seen.wait_for(|seen| !matches!(seen, Seen::NotYet));
        let known = known.await.map_err(|_stopped| Error::Overloaded)?.clone();
        // A watcher is not turned away because of an old poll. The product may have been added, or put on sale, since
        // then.
        if was_known && !known.is_shown(inactive_too) {
            let hub = Arc::clone(self);
            let looking = async move { hub.look_at(business, &[product]).await };
            let looked = self.runtime.spawn(looking).await;
            looked.map_err(|ended| Error::Bug(ended.to_string()))??;
        }
        watcher.seen.mark_changed();
        let known = watcher.seen.borrow().clone();
        match known {
            Seen::Failed(error) => Err(error),
            known if known.is_shown(inactive_too) => Ok(watcher),
            _ => Err(Error::ProductNotFound(product)),
        }
    }

    /// Ends all watching. [`Hub::watch`] is refused from then on.
    pub fn stop(&self) {
        let mut watching = self.lock();
        watching.stopped = true;
        watching.businesses.clear();
    }

    fn join(
        self: &Arc<Self>,
        business: BusinessId,
        product: ProductId,
    ) -> Result<watch::Receiver<Seen>, Error> {
        let mut watching = self.lock();
        if watching.stopped {
            return Err(Error::Overloaded);
        }
        let watched = watching.businesses.entry(business).or_insert_with(|| {
            let looking = Arc::clone(self).look_after(business);
            self.runtime.spawn(looking);
            Watched::default()
        });
        let product = watched.products.entry(product).or_insert_with(|| {
            watched.newcomer.notify_one();
            watch::Sender::new(Seen::NotYet)
        });
        // A poll that failed for earlier watchers is repeated for this one.
        product.send_if_modified(|seen| {
            let failed = matches!(seen, Seen::Failed(_));
            if failed {
                *seen = Seen::NotYet;
                watched.newcomer.notify_one();
            }
            failed
        });
        Ok(product.subscribe())
    }

    /// Polls the watched products of a business until none is left.
    async fn look_after(self: Arc<Self>, business: BusinessId) {
        let mut next = Instant::now();
        let mut fails = false;
        loop {
            let all = Instant::now() >= next;
            let Some((products, newcomer)) = self.to_look_at(business, all) else {
                return;
            };
            if all {
                next = Instant::now() + LOOK_EVERY;
            }
            let failed = match self.look_at(business, &products).await {
                Ok(()) => false,
                Err(error) => {
                    // Logged once per outage, not twice a second.
                    if !fails {
                        tracing::warn!(%error, %business, "what is available cannot be looked at");
                    }
                    self.tell(business, &products, |_| Seen::Failed(error.clone()));
                    true
                }
            };
            fails = failed;
            tokio::time::sleep(if failed { PAUSE } else { FIND_EVERY }).await;
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = newcomer.notified() => {}
            }
        }
    }

    /// The products to poll now, and the notification of new ones. `None` when no product is watched any more.
    fn to_look_at(&self, business: BusinessId, all: bool) -> Option<(Vec<ProductId>, Arc<Notify>)> {
        let mut watching = self.lock();
        let watched = watching.businesses.get(&business)?;
        if watched.products.is_empty() {
            watching.businesses.remove(&business);
            return None;
        }
        let due = watched
            .products
            .iter()
            .filter(|(_, seen)| all || !seen.borrow().is_known());
        let due = due.map(|(product, _)| *product).collect();
        Some((due, Arc::clone(&watched.newcomer)))
    }

    async fn look_at(&self, business: BusinessId, products: &[ProductId]) -> Result<(), Error> {
        if products.is_empty() {
            return Ok(());
        }
        let mut found = read(&self.database, business, products).await?;
        self.tell(business, products, |product| {
            found.remove(&product).unwrap_or(Seen::Missing)
        });
        Ok(())
    }

    /// Notifies the watchers of these products of new states. A failure is passed on only where nothing is known yet.
    fn tell(
        &self,
        business: BusinessId,
        products: &[ProductId],
        mut seen: impl FnMut(ProductId) -> Seen,
    ) {
        let watching = self.lock();
        let Some(watched) = watching.businesses.get(&business) else {
            return;
        };
        for product in products {
            if let Some(watchers) = watched.products.get(product) {
                let now = seen(*product);
                watchers.send_if_modified(|before| {
                    let is_news = if now.is_known() {
                        now.differs_from(before)
                    } else {
                        !before.is_known()
                    };
                    if is_news {
                        *before = now;
                    }
                    is_news
                });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watching> {
        self.watching.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    /// Returns the current state at first, and then each change. `None` when the hub has stopped or the product is
    /// off sale.
    pub async fn next(&mut self) -> Option<Sight> {
        self.seen.changed().await.ok()?;
        match &*self.seen.borrow_and_update() {
            shown @ Seen::There { sight, .. } if shown.is_shown(self.inactive_too) => Some(*sight),
            _ => None,
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut watching = self.hub.lock();
        let Some(watched) = watching.businesses.get_mut(&self.business) else {
            return;
        };
        // The receiver of this watcher still counts.
        if let Some(watchers) = watched.products.get(&self.product)
            && watchers.receiver_count() <= 1
        {
            watched.products.remove(&self.product);
        }
    }
}

/// Raw: it joins the one text of `level.rs`, a lateral join.
const LOOK: &str = concat!(
    "
SELECT p.id, p.active, i.on_hand, level.available, stock.waiting, now() AS at
  FROM products p
  JOIN inventory i ON i.business_id = $1 AND i.product_id = p.id",
    stock_level!(),
    "
 WHERE p.business_id = $1 AND p.id = ANY ($2)"
);

#[derive(Debug, FromQueryResult)]
struct Row {
    id: ProductId,
    active: bool,
    on_hand: i64,
    available: i64,
    waiting: i64,
    at: DateTime<Utc>,
}

async fn read(
    database: &Database,
    business: BusinessId,
    products: &[ProductId],
) -> Result<HashMap<ProductId, Seen>, Error> {
    let ids: Vec<Uuid> = products.iter().map(|product| product.0).collect();
    let rows = retry(|| async {
        let transaction = database.begin_read(business).await?;
        let values = [business.0.into(), ids.clone().into()];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, LOOK, values);
        let rows = Row::find_by_statement(statement).all(&transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    });
    let seen = |row: Row| Seen::There {
        active: row.active,
        sight: Sight {
            availability: Availability {
                available: row.available,
                on_hand: row.on_hand,
                waiting: row.waiting,
            },
            at: row.at,
        },
    };
    let rows = rows.await?.into_iter();
    Ok(rows.map(|row| (row.id, seen(row))).collect())
}
