//! Which businesses background work has to look at.
//!
//! Often at those in which this process has something going on, seldom at all of them: for what another process has left
//! behind.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use entity::BusinessId;
use tokio::sync::Notify;

use crate::Database;

/// How often the businesses are looked at in which this process has something going on.
const OFTEN: Duration = Duration::from_secs(1);

/// How often all are.
const SELDOM: Duration = Duration::from_secs(60);

/// The businesses to look at.
#[derive(Debug, Default)]
pub(crate) struct Poller {
    watched: Mutex<HashSet<BusinessId>>,
    woken: Notify,
}

impl Poller {
    /// There is something going on in this business.
    pub(crate) fn add(&self, business: BusinessId) {
        self.watched().insert(business);
    }

    /// There is something to be done now.
    pub(crate) fn wake(&self, business: BusinessId) {
        self.add(business);
        self.woken.notify_one();
    }

    /// Looks at them for ever. `look` says whether something goes on still.
    ///
    /// Not an `AsyncFn`: whether the futures of one can go to another thread cannot be said of all lifetimes at once.
    pub(crate) async fn keep_looking<F: Future<Output = bool>>(
        &self,
        database: &Database,
        look: impl Fn(BusinessId) -> F,
    ) {
        let mut all_at = Instant::now();
        loop {
            if Instant::now() >= all_at {
                all_at = Instant::now() + SELDOM;
                match crate::foundation::tenants::all_businesses(database).await {
                    Ok(all) => self.watched().extend(all),
                    Err(error) => tracing::warn!(%error, "the businesses cannot be listed"),
                }
            }
            let watched: Vec<BusinessId> = self.watched().iter().copied().collect();
            for business in watched {
                // Before it is looked at: what begins from now on is watched anew.
                self.watched().remove(&business);
                if look(business).await {
                    self.add(business);
                }
            }
            let woken = self.woken.notified();
            let _ = tokio::time::timeout(OFTEN, woken).await;
        }
    }

    fn watched(&self) -> MutexGuard<'_, HashSet<BusinessId>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
