//! Trying again: the one place where a transaction that lost against another is repeated.

use std::time::Duration;

use rand::RngExt;
use sea_orm::{DbErr, RuntimeErr, sqlx};

use crate::Error;

/// How often an operation is tried before its caller hears of it.
pub(crate) const ATTEMPTS: u32 = 5;

/// Runs `attempt` until it succeeds or fails for a reason that another try does not mend, at most [`ATTEMPTS`] times.
///
/// Each attempt is a whole transaction: it begins, decides anew and commits. Two failures are worth another try, since
/// nothing was changed: contention, and a connection that turned out to be dead before the commit was sent (the server
/// was restarted). A commit whose answer was lost is never repeated here.
///
/// # Errors
/// What the last attempt said; contention that never ended is [`Error::Overloaded`].
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
        if !is_worth_another_try(&error) {
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

/// Whether the transaction may do better next time.
#[must_use]
pub(crate) fn is_worth_another_try(error: &Error) -> bool {
    match error {
        Error::Contention => true,
        // Who has waited in vain for a connection hears so now, not five times as late.
        Error::DatabaseUnavailable(cause) => !is_pool_timeout(cause),
        _ => false,
    }
}

fn is_pool_timeout(error: &DbErr) -> bool {
    matches!(error, DbErr::Query(RuntimeErr::SqlxError(cause)) if matches!(**cause, sqlx::Error::PoolTimedOut))
}

/// Waits before attempt `tried + 1`: up to 5, 10, 20, 40 ms, at random, so that those who met do not meet again.
pub(crate) async fn pause(tried: u32) {
    let bound = 5_000 << tried.min(6);
    let wait = rand::rng().random_range(0..bound / 2);
    tokio::time::sleep(Duration::from_micros(wait)).await;
}
