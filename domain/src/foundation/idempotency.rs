//! Idempotency: a retry of a request with an idempotency key returns the original response unchanged.
//!
//! The stored response is a row of the same transaction as the request's effect, unique per business, caller and key.
//! A retry looks it up after it has locked what it would change. A concurrent retry therefore waits for the first
//! request and then returns its response. Where nothing is locked, the second insert of the key fails, and the next
//! attempt finds the row.
//!
//! Only successes are stored; a refused request is decided anew. The content of a response is opaque here. A key
//! costs two statements: the look-up and the insert.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use entity::{BusinessId, Tenant, UserId, idempotency_keys};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter, QuerySelect};

use crate::foundation::retention;
use crate::foundation::rows::{ArrayStatement, Columns, Insert, Row};
use crate::{Database, Error, Transaction};

/// The identity of a request: the key that the client chose, and a hash of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// 1 to 255 visible ASCII characters.
    pub key: String,
    /// A keyed hash of method, target and parsed body. It is keyed because a body may contain a password.
    pub request_hash: [u8; 32],
    /// The hash that earlier versions stored for the same request, over the bytes of its body. It can be removed a
    /// day after the last of these versions was stopped.
    pub former_hash: Option<[u8; 32]>,
}

/// A response as its caller rendered it. The bytes are opaque here, and are stored and returned unchanged. The debug
/// output hides them.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredResponse(Arc<[u8]>);

impl StoredResponse {
    /// Wraps rendered bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes as they were rendered.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for StoredResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredResponse({} bytes, not shown)", self.0.len())
    }
}

/// The outcome of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The write was executed by this request.
    Done {
        /// The typed result of the write.
        value: T,
        /// The rendered response, which is stored if the request has a key.
        response: StoredResponse,
    },
    /// The write was executed by an earlier request, whose response this is.
    Replayed(StoredResponse),
}

impl<T> Outcome<T> {
    /// The response, new or original.
    #[must_use]
    pub fn response(&self) -> &StoredResponse {
        match self {
            Self::Done { response, .. } | Self::Replayed(response) => response,
        }
    }

    /// Whether an earlier request has executed the write.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        matches!(self, Self::Replayed(_))
    }

    /// The typed result; `None` for a replayed response.
    #[must_use]
    pub fn value(self) -> Option<T> {
        match self {
            Self::Done { value, .. } => Some(value),
            Self::Replayed(_) => None,
        }
    }

    /// Replaces the response of a new outcome, for content that is known only after the commit.
    #[must_use]
    pub fn with_response(self, response: StoredResponse) -> Self {
        match self {
            Self::Done { value, .. } => Self::Done { value, response },
            Self::Replayed(_) => Self::Replayed(response),
        }
    }

    /// Replaces the typed result of a new outcome.
    #[must_use]
    pub fn map<U>(self, about: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Done { value, response } => Outcome::Done {
                value: about(value),
                response,
            },
            Self::Replayed(response) => Outcome::Replayed(response),
        }
    }
}

/// The owner of an idempotency key, which is unique per business and caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    pub(crate) business_id: BusinessId,
    pub(crate) caller_id: UserId,
}

/// A stored response with the hash of its request.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) request_hash: [u8; 32],
    pub(crate) response: StoredResponse,
}

impl Record {
    /// The original response.
    ///
    /// # Errors
    /// [`Error::IdempotencyKeyReused`] if the key was used for another request.
    pub(crate) fn replay(&self, key: &IdempotencyKey) -> Result<StoredResponse, Error> {
        if key.request_hash != self.request_hash && key.former_hash != Some(self.request_hash) {
            return Err(Error::IdempotencyKeyReused);
        }
        Ok(self.response.clone())
    }
}

/// Stored responses by caller and key.
pub(crate) type Records = HashMap<(UserId, String), Record>;

/// Reads the stored responses of these callers' keys. Costs one statement, or none without keys.
pub(crate) async fn find(
    transaction: &Transaction,
    business: BusinessId,
    keys: impl Iterator<Item = (UserId, String)>,
) -> Result<Records, Error> {
    let (callers, keys): (Vec<_>, Vec<_>) = keys.unzip();
    if keys.is_empty() {
        return Ok(Records::new());
    }
    // Matches any of the callers with any of the keys: a superset, from which the caller of this function picks by
    // both.
    let rows: Vec<(UserId, String, Vec<u8>, Vec<u8>)> = idempotency_keys::Entity::of(business)
        .select_only()
        .columns([
            idempotency_keys::Column::CallerId,
            idempotency_keys::Column::Key,
            idempotency_keys::Column::RequestHash,
        ])
        .expr_as(idempotency_keys::response(), "stored_response")
        .filter(idempotency_keys::Column::CallerId.eq_any(callers))
        .filter(idempotency_keys::Column::Key.eq_any(keys))
        .into_tuple()
        .all(transaction)
        .await?;
    rows.into_iter()
        .map(|(caller, key, request_hash, response)| {
            let request_hash: [u8; 32] = request_hash
                .try_into()
                .map_err(|bytes: Vec<u8>| Error::Bug(format!("a hash of {} bytes", bytes.len())))?;
            let record = Record {
                request_hash,
                response: StoredResponse::new(response),
            };
            Ok(((caller, key), record))
        })
        .collect()
}

/// The original response to the key's request; `None` if there is none.
pub(crate) async fn replayed(
    transaction: &Transaction,
    scope: Scope,
    key: &IdempotencyKey,
) -> Result<Option<StoredResponse>, Error> {
    let name = (scope.caller_id, key.key.clone());
    let records = find(
        transaction,
        scope.business_id,
        std::iter::once(name.clone()),
    )
    .await?;
    records
        .get(&name)
        .map(|record| record.replay(key))
        .transpose()
}

/// A row to be inserted into `idempotency_keys`.
#[derive(Clone, Copy)]
pub(crate) struct NewRecord<'a> {
    pub(crate) caller_id: UserId,
    pub(crate) key: &'a IdempotencyKey,
    pub(crate) response: &'a StoredResponse,
}

impl NewRecord<'_> {
    /// Sorts by caller and key, the order of all inserts. Two batches with the same keys then wait at the first of
    /// them instead of deadlocking.
    pub(crate) fn in_order(mut records: Vec<Self>) -> Vec<Self> {
        records.sort_unstable_by(|a, b| (a.caller_id, &a.key.key).cmp(&(b.caller_id, &b.key.key)));
        records
    }
}

impl Row for NewRecord<'_> {
    const NAME: &'static str = "new_key";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("caller_id", |new| new.caller_id);
        columns.column("key", |new| new.key.key.clone());
        columns.column("request_hash", |new| new.key.request_hash.to_vec());
        columns.column("response", |new| new.response.bytes().to_vec());
    }
}

impl Insert for NewRecord<'_> {
    const TABLE: &'static str = "idempotency_keys";
}

static REMEMBER: LazyLock<ArrayStatement> =
    LazyLock::new(|| ArrayStatement::new(|arrays| arrays.insert::<NewRecord<'_>>()));

/// Stores the response under the key. [`Error::Contention`] if a concurrent request has stored its own first; the
/// next attempt finds that one.
pub(crate) async fn remember(
    transaction: &Transaction,
    scope: Scope,
    key: &IdempotencyKey,
    response: &StoredResponse,
) -> Result<(), Error> {
    let record = NewRecord {
        caller_id: scope.caller_id,
        key,
        response,
    };
    let statement = REMEMBER.of(scope.business_id).rows(&[record]).statement()?;
    transaction.execute_raw(statement).await?;
    Ok(())
}

/// Deletes the business's stored responses that are older than 25 hours. Returns their number.
///
/// Any number of processes may run it at once. One waits for another that deletes the same rows, in the order of
/// their position on disk, and then finds them gone. `FOR UPDATE SKIP LOCKED` would avoid the wait, but needs the
/// right to update, which the service's role does not have.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn delete_expired(database: &Database, business: BusinessId) -> Result<u64, Error> {
    let over = Query::select()
        .expr(Expr::cust("ctid"))
        .from(idempotency_keys::Entity)
        .and_where(idempotency_keys::Column::BusinessId.eq(business))
        .and_where(Expr::cust("created_at < now() - interval '25 hours'"))
        .to_owned();
    retention::delete::<idempotency_keys::Entity>(database, business, over).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_response() {
        let response = StoredResponse::new(*b"hunter2");
        assert_eq!(
            format!("{response:?}"),
            "StoredResponse(7 bytes, not shown)"
        );
    }
}
