//! Work that takes a core and memory for long, such as hashing: on threads that serve no requests, and only so much of it
//! at a time.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::Error;

/// Bounds of one kind of work.
#[derive(Debug, Clone)]
pub(crate) struct BoundedWork {
    /// Those that work or wait.
    pub(crate) places: Arc<Semaphore>,
    /// Those that work.
    permits: Arc<Semaphore>,
}

impl BoundedWork {
    /// At most `concurrent` at the same time, and at most `waiting` that wait for them.
    pub(crate) fn new(concurrent: usize, waiting: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(concurrent + waiting)),
            permits: Arc::new(Semaphore::new(concurrent)),
        }
    }

    /// Does the work when its turn comes.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if too many wait; the work's own.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let _place = self
            .places
            .try_acquire()
            .map_err(|_none_left| Error::Overloaded)?;
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|closed| Error::Bug(closed.to_string()))?;
        // The task owns the permit. A client that disconnects does not stop the work, which still takes its memory and
        // core.
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        })
        .await
        .map_err(|panic| Error::Bug(panic.to_string()))?
    }
}
