//! This module waits for conditions and runs futures at the same time.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

/// Time limit for every condition that a test waits for.
const TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Checks a condition every 10 milliseconds until it holds. `expected` names the condition in the message.
///
/// # Panics
/// The condition does not hold within 30 seconds.
pub async fn until(expected: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(
            started.elapsed() < TIMEOUT,
            "not within {TIMEOUT:?}: {expected}"
        );
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Runs all futures at the same time. Results are in the order of the futures.
///
/// # Panics
/// One of the futures panics.
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
