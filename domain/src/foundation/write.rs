//! The frame of every write outside the desk: begin, lock, replay, decide, write, record, remember, commit.
//!
//! ```ignore
//! request.run(database, || async {
//!     let write = request.begin(database).await?;
//!     let mut account = lock(write.transaction(), …).await?;
//!     if let Some(replayed) = write.replayed().await? {
//!         return Ok(replayed);
//!     }
//!     let payment = decide_and_write(&mut account, …).await?;
//!     audit::record(write.transaction(), …).await?;
//!     write.finish(payment).await
//! })
//! ```
//!
//! The closure is one attempt, a whole transaction, and takes no parameter. A helper that passed the transaction to
//! it would need an `AsyncFn` over a reference, whose future is not `Send`.
//!
//! The idempotency key is looked up after the locks, so that a concurrent retry waits for them and then finds the
//! stored response. The response is rendered before the commit, since it commits with its effect. A key costs two
//! statements: the look-up and the insert.

use std::fmt;

use crate::foundation::idempotency::{self, IdempotencyKey, Outcome, Scope, StoredResponse};
use crate::foundation::retry::retry;
use crate::{Caller, Database, Error, Transaction};

/// A requested write: its caller, its idempotency key, and the function that renders its response.
///
/// # Errors
/// Every write can fail with [`Error::IdempotencyKeyReused`], [`Error::Overloaded`] when rows stayed locked,
/// [`Error::DatabaseUnavailable`] and [`Error::OutcomeUnknown`].
pub struct WriteRequest<'a, T, C = Caller> {
    /// The caller on whose behalf the write is executed.
    pub caller: &'a C,
    /// `None` when a retry is a new write; otherwise a retry returns the original response.
    pub key: Option<&'a IdempotencyKey>,
    /// Renders the response. Called before the commit, once per attempt.
    pub render: &'a (dyn Fn(&T) -> StoredResponse + Sync),
}

impl<T, C: fmt::Debug> fmt::Debug for WriteRequest<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteRequest")
            .field("caller", &self.caller)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl<T> WriteRequest<'_, T> {
    /// Begins an attempt in the caller's business.
    pub(crate) async fn begin(&self, database: &Database) -> Result<Write<'_, T>, Error> {
        self.begin_in(database, self.scope()).await
    }

    /// Runs attempts until one succeeds or fails permanently: see [`retry`].
    ///
    /// A write that is refused because a unique value is taken may have met a concurrent request with the same key,
    /// which has committed meanwhile. The response of that request is then returned.
    pub(crate) async fn run<F>(
        &self,
        database: &Database,
        attempt: impl FnMut() -> F,
    ) -> Result<Outcome<T>, Error>
    where
        F: Future<Output = Result<Outcome<T>, Error>>,
    {
        self.run_in(database, self.scope(), attempt).await
    }

    fn scope(&self) -> Scope {
        Scope {
            business_id: self.caller.business_id,
            caller_id: self.caller.user_id,
        }
    }
}

/// For a caller without a business, such as the platform.
impl<T, C> WriteRequest<'_, T, C> {
    /// As [`WriteRequest::begin`], in the business of `scope`.
    pub(crate) async fn begin_in(
        &self,
        database: &Database,
        scope: Scope,
    ) -> Result<Write<'_, T>, Error> {
        Ok(Write {
            transaction: database.begin(scope.business_id).await?,
            scope,
            key: self.key,
            render: self.render,
        })
    }

    /// As [`WriteRequest::run`], in the business of `scope`.
    pub(crate) async fn run_in<F>(
        &self,
        database: &Database,
        scope: Scope,
        attempt: impl FnMut() -> F,
    ) -> Result<Outcome<T>, Error>
    where
        F: Future<Output = Result<Outcome<T>, Error>>,
    {
        let outcome = retry(attempt).await;
        let (Err(refusal @ (Error::AlreadyExists(_) | Error::RowsRefused(_))), Some(key)) =
            (&outcome, self.key)
        else {
            return outcome;
        };
        let twin = retry(|| async {
            let transaction = database.begin_read(scope.business_id).await?;
            idempotency::replayed(&transaction, scope, key).await
        });
        match twin.await? {
            Some(response) => Ok(Outcome::Replayed(response)),
            None => Err(refusal.clone()),
        }
    }
}

/// An attempt at a write. Its transaction rolls back when this is dropped.
pub(crate) struct Write<'a, T> {
    transaction: Transaction,
    scope: Scope,
    key: Option<&'a IdempotencyKey>,
    render: &'a (dyn Fn(&T) -> StoredResponse + Sync),
}

impl<T> Write<'_, T> {
    pub(crate) fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The outcome of the original request, if this is a retry. A write that locks rows calls it afterwards, so that a
    /// concurrent retry has waited for the original request.
    pub(crate) async fn replayed(&self) -> Result<Option<Outcome<T>>, Error> {
        let Some(key) = self.key else { return Ok(None) };
        let response = idempotency::replayed(&self.transaction, self.scope, key).await?;
        Ok(response.map(Outcome::Replayed))
    }

    /// Renders the response, stores it if there is a key, and commits.
    pub(crate) async fn finish(self, value: T) -> Result<Outcome<T>, Error> {
        let response = (self.render)(&value);
        if let Some(key) = self.key {
            idempotency::remember(&self.transaction, self.scope, key, &response).await?;
        }
        self.transaction.commit().await?;
        Ok(Outcome::Done { value, response })
    }

    /// Renders the response of a dry run and rolls back. Nothing is stored under the key.
    pub(crate) async fn discard(self, value: T) -> Result<Outcome<T>, Error> {
        let response = (self.render)(&value);
        self.transaction.rollback().await;
        Ok(Outcome::Done { value, response })
    }
}
