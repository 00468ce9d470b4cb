//! Answering a repeated request with the first answer.
//!
//! A keyed request's answer is a row of the same transaction as its effect, unique per business, caller and key. A
//! repetition finds the row after it has locked what it would change, so a twin that runs at the same moment waits for
//! the first and then replays it; where nothing is locked, the second insert of the key fails, and the retry finds the
//! row. Only successes are kept: a request that was refused is decided anew.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use entity::{BusinessId, Tenant, UserId, idempotency_keys};
use sea_orm::sea_query::extension::postgres::PgFunc;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter};

use crate::foundation::kept::Kept;
use crate::foundation::retention;
use crate::foundation::retry::retry;
use crate::foundation::rows::ArrayStatement;
use crate::{Caller, Database, Error, Transaction};

/// What makes two requests one: the key that the client chose, and a hash of everything it asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// 1 to 255 visible ASCII characters.
    pub key: String,
    /// A keyed hash of method, target and what the body means: a body may hold a password.
    pub request_hash: [u8; 32],
    /// The hash that earlier versions kept of the same request: of its body's bytes. It finds the answers that they kept,
    /// and can go a day after the last of them has.
    pub former_hash: Option<[u8; 32]>,
}

/// An answer in the form that the client gets, kept and repeated byte for byte. Its debug output does not show the body:
/// a new API key is in one.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Where the created resource is.
    pub location: Option<String>,
    /// The body, JSON.
    pub body: String,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("location", &self.location)
            .field("body", &format_args!("(not shown)"))
            .finish()
    }
}

/// An answer, and whether it is a repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// What the client gets.
    pub answer: Answer,
    /// True when nothing was done, since it had been done before.
    pub replayed: bool,
}

/// The answers kept under these callers' keys, with the hash of the request that each was given to.
pub(crate) async fn find(
    transaction: &Transaction,
    business: BusinessId,
    claims: impl Iterator<Item = (UserId, String)>,
) -> Result<HashMap<(UserId, String), ([u8; 32], Answer)>, Error> {
    let claims: Vec<(UserId, String)> = claims.collect();
    if claims.is_empty() {
        return Ok(HashMap::new());
    }
    let callers: Vec<_> = claims.iter().map(|(caller, _)| caller.0).collect();
    let keys: Vec<_> = claims.into_iter().map(|(_, key)| key).collect();
    // Any caller with any key: a superset of what is asked for, from which the caller of this function picks by both.
    let rows = idempotency_keys::Entity::of(business)
        .filter(
            Expr::col(idempotency_keys::Column::CallerId.as_column_ref()).eq(PgFunc::any(callers)),
        )
        .filter(Expr::col(idempotency_keys::Column::Key.as_column_ref()).eq(PgFunc::any(keys)))
        .all(transaction)
        .await?;
    rows.into_iter()
        .map(|row| {
            let request_hash: [u8; 32] = row
                .request_hash
                .try_into()
                .map_err(|bytes: Vec<u8>| Error::Bug(format!("a hash of {} bytes", bytes.len())))?;
            let answer = Answer {
                status: row.status.cast_unsigned(),
                location: row.location.filter(|location| !location.is_empty()),
                body: row.body,
            };
            Ok(((row.caller_id, row.key), (request_hash, answer)))
        })
        .collect()
}

/// The first answer again, unless the key was used for another request.
pub(crate) fn replay(
    claim: &IdempotencyKey,
    request_hash: &[u8; 32],
    answer: &Answer,
) -> Result<Answered, Error> {
    if claim.request_hash != *request_hash && claim.former_hash != Some(*request_hash) {
        return Err(Error::IdempotencyKeyReused);
    }
    Ok(Answered {
        answer: answer.clone(),
        replayed: true,
    })
}

/// The answer that this claim has had before, for operations outside the purchase desk.
pub(crate) async fn before(
    transaction: &Transaction,
    caller: &Caller,
    claim: Option<&IdempotencyKey>,
) -> Result<Option<Answered>, Error> {
    before_of(transaction, caller.business_id, caller.user_id, claim).await
}

/// As [`before`], for a caller that is of no business.
pub(crate) async fn before_of(
    transaction: &Transaction,
    business: BusinessId,
    user: UserId,
    claim: Option<&IdempotencyKey>,
) -> Result<Option<Answered>, Error> {
    let Some(claim) = claim else { return Ok(None) };
    let name = (user, claim.key.clone());
    let known = find(transaction, business, std::iter::once(name.clone())).await?;
    known
        .get(&name)
        .map(|(request_hash, answer)| replay(claim, request_hash, answer))
        .transpose()
}

/// Keeps the answer under the claim, if there is one, and returns it. A twin that has kept its answer first makes this
/// [`Error::Contention`]: the next attempt finds it.
pub(crate) async fn keep(
    transaction: &Transaction,
    caller: &Caller,
    claim: Option<&IdempotencyKey>,
    answer: Answer,
) -> Result<Answered, Error> {
    keep_of(
        transaction,
        caller.business_id,
        caller.user_id,
        claim,
        answer,
    )
    .await
}

static KEEP: LazyLock<ArrayStatement> =
    LazyLock::new(|| ArrayStatement::new(|arrays| arrays.insert::<Kept<'_>>()));

/// As [`keep`], for a caller that is of no business.
pub(crate) async fn keep_of(
    transaction: &Transaction,
    business: BusinessId,
    user: UserId,
    claim: Option<&IdempotencyKey>,
    answer: Answer,
) -> Result<Answered, Error> {
    if let Some(claim) = claim {
        let kept = Kept {
            caller: user,
            claim,
            answer: &answer,
        };
        let statement = KEEP.of(business).rows(&[kept]).statement()?;
        transaction.execute_raw(statement).await?;
    }
    Ok(Answered {
        answer,
        replayed: false,
    })
}

/// Answers for an operation outside the purchase desk that was refused because something unique is taken: when it was
/// taken by a twin with the same claim, which committed in between, the twin's answer is this one's too.
pub(crate) async fn unless_twin(
    database: &Database,
    caller: &Caller,
    claim: Option<&IdempotencyKey>,
    refusal: Error,
) -> Result<Answered, Error> {
    if claim.is_none() {
        return Err(refusal);
    }
    let twin = retry(|| async {
        let transaction = database.begin_read(caller.business_id).await?;
        before(&transaction, caller, claim).await
    });
    twin.await?.ok_or(refusal)
}

/// Deletes the business's answers that are older than 25 hours. Says how many there were.
///
/// Any number of processes may do it at once: one waits for another that has the same rows, in the order of their
/// places on disk, and finds them gone. `FOR UPDATE SKIP LOCKED` would pass over them instead, but needs the right to
/// change answers, which the service does not have.
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
    fn what_an_answer_says_is_not_shown() {
        let answer = Answer {
            status: 201,
            location: Some("/api/api-keys/1".to_owned()),
            body: "hunter2".to_owned(),
        };
        let shown = format!("{answer:?}");
        assert!(shown.contains("/api/api-keys/1"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
