//! Rows of `idempotency_keys` that are to be inserted: the one place that names their columns for it.

use entity::UserId;

use crate::foundation::idempotency::{Answer, IdempotencyKey};
use crate::foundation::rows::{Columns, Insert, Row};

/// An answer that is kept under a key.
pub(crate) struct Kept<'a> {
    /// Whose it is.
    pub(crate) caller: UserId,
    /// Under which key.
    pub(crate) claim: &'a IdempotencyKey,
    /// The answer.
    pub(crate) answer: &'a Answer,
}

/// Sorts by caller and key, the order in which keys are inserted: two batches with the same keys then meet at the first
/// of them and not in a deadlock.
pub(crate) fn in_order(mut keys: Vec<Kept<'_>>) -> Vec<Kept<'_>> {
    keys.sort_unstable_by(|a, b| (a.caller, &a.claim.key).cmp(&(b.caller, &b.claim.key)));
    keys
}

impl Row for Kept<'_> {
    const NAME: &'static str = "new_key";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("caller_id", |kept| kept.caller);
        columns.column("key", |kept| kept.claim.key.clone());
        columns.column("request_hash", |kept| kept.claim.request_hash.to_vec());
        columns.column("status", |kept| kept.answer.status.cast_signed());
        columns.nullable("location", |kept| kept.answer.location.clone());
        columns.column("body", |kept| kept.answer.body.clone());
    }
}

impl Insert for Kept<'_> {
    const TABLE: &'static str = "idempotency_keys";
}
