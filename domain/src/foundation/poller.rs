//! Selects the businesses that a background task must look at.
//!
//! Businesses with activity in this process are polled every second. All others are polled once a minute, for work
//! that another process has left behind.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use entity::BusinessId;
use tokio::sync::Notify;

use crate::Database;

/// The time between two polls of a business with activity in this process.
const ACTIVE_INTERVAL: Duration = Duration::from_secs(1);

/// The time between two polls of all businesses.
const FULL_INTERVAL: Duration = Duration::from_secs(60);

/// The businesses to poll.
#[derive(Debug, Default)]
pub(crate) struct Poller {
    watched: Mutex<HashSet<BusinessId>>,
    woken: Notify,
}

impl Poller {
    /// Adds a business that has work now or soon.
    pub(crate) fn add(&self, business: BusinessId) {
        self.watched().insert(business);
    }

    /// Adds a business whose work is due now, and polls at once.
    pub(crate) fn wake(&self, business: BusinessId) {
        self.add(business);
        self.woken.notify_one();
    }

    /// Polls until it is dropped. `look` returns whether the business still has work.
    ///
    /// It is not an `AsyncFn`: the compiler cannot prove that its futures are `Send` for all lifetimes at once.
    pub(crate) async fn run<F: Future<Output = bool>>(
        &self,
        database: &Database,
        look: impl Fn(BusinessId) -> F,
    ) {
        let mut all_at = Instant::now();
        loop {
            if Instant::now() >= all_at {
                all_at = Instant::now() + FULL_INTERVAL;
                match crate::foundation::tenants::all_businesses(database).await {
                    Ok(all) => self.watched().extend(all),
                    Err(error) => tracing::warn!(%error, "the businesses cannot be listed"),
                }
            }
            let watched: Vec<BusinessId> = self.watched().iter().copied().collect();
            for business in watched {
                // Removed before the poll, so that work that arrives during it adds the business again.
                self.watched().remove(&business);
                if look(business).await {
                    self.add(business);
                }
            }
            let woken = self.woken.notified();
            let _ = tokio::time::timeout(ACTIVE_INTERVAL, woken).await;
        }
    }

    fn watched(&self) -> MutexGuard<'_, HashSet<BusinessId>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
