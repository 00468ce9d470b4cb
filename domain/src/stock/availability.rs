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
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The shortest time between two polls for newly watched products.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The time to wait after a failed poll.
const RETRY_DELAY: Duration = Duration::from_secs(1);

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
pub struct Observation {
    /// The stock at that time.
    pub availability: Availability,
    /// The database's time of the poll.
    pub at: DateTime<Utc>,
}

/// The known state of a watched product.
#[derive(Debug, Clone)]
enum Observed {
    NotYet,
    /// The poll failed.
    Failed(Error),
    Missing,
    There {
        active: bool,
        observation: Observation,
    },
}

impl Observed {
    /// Whether a watcher would see a difference in `other`.
    fn differs_from(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Missing, Self::Missing) => false,
            (
                Self::There {
                    active,
                    observation,
                },
                Self::There {
                    active: other_active,
                    observation: other,
                },
            ) => active != other_active || observation.availability != other.availability,
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
    products: HashMap<ProductId, watch::Sender<Observed>>,
    /// Notified when a product is watched of which nothing is known yet.
    added: Arc<Notify>,
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
    observed: watch::Receiver<Observed>,
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
            observed: self.subscribe(business, product)?,
            hub: Arc::clone(self),
            business,
            product,
            inactive_too,
        };
        let was_known = watcher.observed.borrow().is_known();
        let known = watcher
            .observed
            .wait_for(|observed| !matches!(observed, Observed::NotYet));
        let known = known.await.map_err(|_stopped| Error::Overloaded)?.clone();
        // A watcher is not turned away because of an old poll. The product may have been added, or put on sale, since
        // then.
        if was_known && !known.is_shown(inactive_too) {
            let hub = Arc::clone(self);
            let polling = async move { hub.poll(business, &[product]).await };
            let polled = self.runtime.spawn(polling).await;
            polled.map_err(|ended| Error::Bug(ended.to_string()))??;
        }
        watcher.observed.mark_changed();
        let known = watcher.observed.borrow().clone();
        match known {
            Observed::Failed(error) => Err(error),
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

    fn subscribe(
        self: &Arc<Self>,
        business: BusinessId,
        product: ProductId,
    ) -> Result<watch::Receiver<Observed>, Error> {
        let mut watching = self.lock();
        if watching.stopped {
            return Err(Error::Overloaded);
        }
        let watched = watching.businesses.entry(business).or_insert_with(|| {
            let polling = Arc::clone(self).poll_business(business);
            self.runtime.spawn(polling);
            Watched::default()
        });
        let product = watched.products.entry(product).or_insert_with(|| {
            watched.added.notify_one();
            watch::Sender::new(Observed::NotYet)
        });
        // A poll that failed for earlier watchers is repeated for this one.
        product.send_if_modified(|observed| {
            let failed = matches!(observed, Observed::Failed(_));
            if failed {
                *observed = Observed::NotYet;
                watched.added.notify_one();
            }
            failed
        });
        Ok(product.subscribe())
    }

    /// Polls the watched products of a business until none is left.
    async fn poll_business(self: Arc<Self>, business: BusinessId) {
        let mut next = Instant::now();
        let mut was_failing = false;
        loop {
            let all = Instant::now() >= next;
            let Some((products, added)) = self.due(business, all) else {
                return;
            };
            if all {
                next = Instant::now() + POLL_INTERVAL;
            }
            let failed = match self.poll(business, &products).await {
                Ok(()) => false,
                Err(error) => {
                    // Logged once per outage, not twice a second.
                    if !was_failing {
                        tracing::warn!(%error, %business, "the availability of products cannot be read");
                    }
                    self.publish(business, &products, |_| Observed::Failed(error.clone()));
                    true
                }
            };
            was_failing = failed;
            tokio::time::sleep(if failed {
                RETRY_DELAY
            } else {
                MIN_POLL_INTERVAL
            })
            .await;
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = added.notified() => {}
            }
        }
    }

    /// The products to poll now, and the notification of new ones. `None` when no product is watched any more.
    fn due(&self, business: BusinessId, all: bool) -> Option<(Vec<ProductId>, Arc<Notify>)> {
        let mut watching = self.lock();
        let watched = watching.businesses.get(&business)?;
        if watched.products.is_empty() {
            watching.businesses.remove(&business);
            return None;
        }
        let due = watched
            .products
            .iter()
            .filter(|(_, observed)| all || !observed.borrow().is_known());
        let due = due.map(|(product, _)| *product).collect();
        Some((due, Arc::clone(&watched.added)))
    }

    async fn poll(&self, business: BusinessId, products: &[ProductId]) -> Result<(), Error> {
        if products.is_empty() {
            return Ok(());
        }
        let mut found = read(&self.database, business, products).await?;
        self.publish(business, products, |product| {
            found.remove(&product).unwrap_or(Observed::Missing)
        });
        Ok(())
    }

    /// Notifies the watchers of these products of new states. A failure is passed on only where nothing is known yet.
    fn publish(
        &self,
        business: BusinessId,
        products: &[ProductId],
        mut observed: impl FnMut(ProductId) -> Observed,
    ) {
        let watching = self.lock();
        let Some(watched) = watching.businesses.get(&business) else {
            return;
        };
        for product in products {
            if let Some(watchers) = watched.products.get(product) {
                let now = observed(*product);
                watchers.send_if_modified(|before| {
                    let is_new = if now.is_known() {
                        now.differs_from(before)
                    } else {
                        !before.is_known()
                    };
                    if is_new {
                        *before = now;
                    }
                    is_new
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
    pub async fn next(&mut self) -> Option<Observation> {
        self.observed.changed().await.ok()?;
        match &*self.observed.borrow_and_update() {
            shown @ Observed::There { observation, .. } if shown.is_shown(self.inactive_too) => {
                Some(*observation)
            }
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
const LEVELS: &str = concat!(
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
) -> Result<HashMap<ProductId, Observed>, Error> {
    let ids: Vec<Uuid> = products.iter().map(|product| product.0).collect();
    let rows = retry(|| async {
        let transaction = database.begin_read(business).await?;
        let values = [business.0.into(), ids.clone().into()];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, LEVELS, values);
        let rows = Row::find_by_statement(statement).all(&transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    });
    let observed = |row: Row| Observed::There {
        active: row.active,
        observation: Observation {
            availability: Availability {
                available: row.available,
                on_hand: row.on_hand,
                waiting: row.waiting,
            },
            at: row.at,
        },
    };
    let rows = rows.await?.into_iter();
    Ok(rows.map(|row| (row.id, observed(row))).collect())
}
