//! Retries: the only file that repeats a transaction after a transient failure.

use std::time::Duration;

use rand::RngExt;
use sea_orm::{DbErr, RuntimeErr, sqlx};

use crate::Error;

/// The number of attempts before an operation fails.
pub(crate) const ATTEMPTS: u32 = 5;

/// Runs `attempt` until it succeeds or fails permanently, at most [`ATTEMPTS`] times.
///
/// Each attempt is a whole transaction: it begins, decides anew and commits. Two failures are retried, since they
/// change nothing: contention, and a database that is lost or unavailable before the commit, as during a restart of
/// the server. A commit without an answer is never repeated here.
///
/// # Errors
/// The error of the last attempt; [`Error::Overloaded`] in place of [`Error::Contention`].
pub(crate) async fn retry<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut tried = 1;
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if !is_retryable(&error) {
            return Err(error);
        }
        if tried == ATTEMPTS {
            return Err(match error {
                Error::Contention => Error::Overloaded,
                other => other,
            });
        }
        metrics::counter!("tradeline_transaction_retries_total").increment(1);
        pause(tried).await;
        tried += 1;
    }
}

/// Whether another attempt may succeed.
#[must_use]
pub(crate) fn is_retryable(error: &Error) -> bool {
    match error {
        Error::Contention => true,
        // A caller that has waited in vain for a connection gets the error now, not after five such waits.
        Error::DatabaseUnavailable(cause) => !is_pool_timeout(cause),
        _ => false,
    }
}

fn is_pool_timeout(error: &DbErr) -> bool {
    matches!(error, DbErr::Query(RuntimeErr::SqlxError(cause)) if matches!(**cause, sqlx::Error::PoolTimedOut))
}

/// Waits before attempt `tried + 1`: a random time of up to 5, 10, 20, 40 ms, so that the transactions do not collide
/// again. The bound stops growing at 160 ms.
pub(crate) async fn pause(tried: u32) {
    let bound = 5_000 << tried.min(6);
    let wait = rand::rng().random_range(0..bound / 2);
    tokio::time::sleep(Duration::from_micros(wait)).await;
}
