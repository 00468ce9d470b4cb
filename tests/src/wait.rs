//! Waiting for something to happen, and doing many things at once.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until it is so.
///
/// # Panics
/// It is not so for too long.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(
            started.elapsed() < PATIENCE,
            "still waiting, after {PATIENCE:?}, until {what}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs all of them at the same time; the results in the order of the futures.
///
/// # Panics
/// One of them panics.
pub async fn all<F>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut running = JoinSet::new();
    for (number, future) in futures.into_iter().enumerate() {
        running.spawn(async move { (number, future.await) });
    }
    let mut results = running.join_all().await;
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}
