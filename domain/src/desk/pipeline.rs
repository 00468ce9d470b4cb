//! Pipelined batches: they use the predicted stock that a batch still being written will leave.
//!
//! All sales of one product wait for its row lock, which is held until the commit is on disk. If each batch locked
//! the row before it wrote its orders, one database process at a time would sell a popular product. So a batch of
//! plain purchases predicts its stock on hand as soon as it is decided. The next batch is *pipelined* (`batch.rs`):
//!
//! 1. it locks its customers, is decided by the predicted stock, and writes its orders beside the earlier batch;
//! 2. then it locks its stock, validates the predicted stock, decrements it and commits.
//!
//! A prediction is not trusted: the rows found under the locks decide. Validation fails where a row differs from its
//! prediction, or was last written by another transaction than the predicting one. The pipelined batch then rolls
//! back, waits until the batches that it followed have ended, and starts again with locks first.
//!
//! Stock is therefore never oversold, available stock is never refused, and the order of arrival holds. This is true
//! whatever other transactions do to the same rows, from this process or another.
//!
//! The lock order is unchanged: customers by id, then stock by product id. The orders' foreign keys lock stock
//! earlier (`FOR KEY SHARE`). That lock never waits, as long as all code that locks stock uses `FOR NO KEY UPDATE`.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use entity::inventory::Column;
use entity::{BusinessId, ProductId};
use sea_orm::FromQueryResult;
use sea_orm::sea_query::{Expr, PostgresQueryBuilder};
use tokio::sync::watch;
use uuid::Uuid;

use crate::foundation::locks;
use crate::foundation::rows::{ArrayStatement, Columns, Row};
use crate::stock::locked_stock::LockedStock;
use crate::{Error, Transaction};

/// The time for which a business predicts nothing after a failed validation: another process sells the same products.
const BACK_OFF: Duration = Duration::from_secs(1);

/// The stock that a batch leaves of a product that it has sold. The product has no holds and no waitlist.
#[derive(Debug, Clone)]
pub(super) struct PredictedStock {
    /// The units on hand.
    pub(super) on_hand: i64,
    /// The progress of the predicting batch. Closed when that batch has ended.
    pub(super) batch: watch::Receiver<Progress>,
}

/// The version of a row that was read or written: its `xmin`. [`StockLevel`](crate::stock::locked_stock::StockLevel)
/// alone would miss that others changed the row and changed it back. In the row's history their movements would then
/// precede sales with lower ids. Versions are only compared; a write returns the new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(i64);

impl Version {
    pub(super) fn of_row(xmin: i64) -> Self {
        Self(xmin)
    }
}

/// The versions of the inventory rows that a batch has written.
pub(super) type Versions = BTreeMap<ProductId, Version>;

/// The progress of a predicting batch, and the versions that its rows will show.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    pub(super) stage: Stage,
    versions: Versions,
}

impl Progress {
    pub(super) const BEGUN: Self = Self {
        stage: Stage::Open,
        versions: Versions::new(),
    };

    /// Records the versions of the stock that the batch has written.
    pub(super) fn wrote(&mut self, versions: Versions) {
        self.versions = versions;
    }
}

/// The stage of a predicting batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// A pipelined batch could still lock the stock before it.
    Open,
    /// Its stock is locked.
    Locked,
    /// It has started again. Its followers must be decided after it, even if it decides the same.
    Withdrawn,
}

/// The predicted stock that a batch follows, by product. Empty when the batch is not pipelined.
pub(super) type Predictions = HashMap<ProductId, PredictedStock>;

/// Waits until no predicting batch is [`Stage::Open`].
async fn locked(predicted: &Predictions) {
    for predict in predicted.values() {
        let mut batch = predict.batch.clone();
        // A batch that ended without its locks has sold nothing.
        let _ = batch
            .wait_for(|progress| progress.stage != Stage::Open)
            .await;
    }
}

fn is_withdrawn(predicted: &Predictions) -> bool {
    let mut predictions = predicted.values();
    predictions.any(|predict| predict.batch.borrow().stage == Stage::Withdrawn)
}

/// Waits until all predicting batches have ended.
pub(super) async fn ended(predicted: &Predictions) {
    for predict in predicted.values() {
        let mut batch = predict.batch.clone();
        while batch.changed().await.is_ok() {}
    }
}

/// The stock on hand that a batch leaves of a product.
struct Remaining {
    product_id: ProductId,
    on_hand: i64,
}

impl Row for Remaining {
    const NAME: &'static str = "remaining";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("product_id", |one| one.product_id);
        columns.column("on_hand", |one| one.on_hand);
    }
}

/// Locks the stock of a pipelined batch in the lock order, and decrements it if all of it is as assumed. Both lists
/// of products are in that order.
///
/// Raw: an update of the rows that a common table expression locks, in the round trip that compares them.
static TAKE: LazyLock<ArrayStatement> = LazyLock::new(|| {
    ArrayStatement::new(|arrays| {
        let (products, on_hand) = (arrays.value("uuid[]"), arrays.value("bigint[]"));
        let remaining = arrays.rows::<Remaining>();
        let mut stock = locks::stock([
            Column::ProductId,
            Column::OnHand,
            Column::Reserved,
            Column::Waiting,
        ]);
        let stock = stock
            .expr_as(Expr::cust("xmin::text::bigint"), "version")
            .and_where(locks::is_any(Column::ProductId, &products))
            .to_string(PostgresQueryBuilder);
        // The cast: an array of a domain equals no array of its base type.
        format!(
            "
WITH stock AS MATERIALIZED (
    {stock}
), kept AS MATERIALIZED (
    SELECT array_agg(on_hand::bigint ORDER BY product_id) = {on_hand} AND bool_and(reserved = 0 AND waiting = 0) AS is_valid,
           array_agg(version ORDER BY product_id) AS versions
      FROM stock
), taken AS (
    UPDATE inventory SET on_hand = remaining.on_hand, updated_at = now()
      FROM {remaining}
     WHERE inventory.business_id = $1 AND inventory.product_id = remaining.product_id
       AND (SELECT is_valid FROM kept)
 RETURNING inventory.product_id, inventory.xmin::text::bigint AS version
)
SELECT coalesce(is_valid, false) AS is_valid, coalesce(versions, '{{}}') AS found,
       (SELECT coalesce(array_agg(version ORDER BY product_id), '{{}}') FROM taken) AS taken
  FROM kept"
        )
    })
});

/// The result of [`TAKE`]: whether the stock was as assumed, the versions of its rows before, and those of the
/// decremented rows, by product id.
#[derive(FromQueryResult)]
struct Taken {
    is_valid: bool,
    found: Vec<i64>,
    taken: Vec<i64>,
}

/// Locks the stock of a pipelined batch and decrements it by what was sold. `None` when the stock differs from what
/// was assumed: the batch must then roll back.
pub(super) async fn take(
    transaction: &Transaction,
    business: BusinessId,
    predicted: &Predictions,
    assumed: &Assumed,
    locked_stock: &LockedStock,
) -> Result<Option<Versions>, Error> {
    locked(predicted).await;
    if is_withdrawn(predicted) {
        return Ok(None);
    }
    let (products, on_hand): (Vec<Uuid>, Vec<i64>) = assumed
        .iter()
        .map(|(id, (on_hand, _))| (id.0, *on_hand))
        .unzip();
    let remaining: Vec<Remaining> = left(assumed, locked_stock)
        .into_iter()
        .map(|(product_id, on_hand)| Remaining {
            product_id,
            on_hand,
        })
        .collect();
    let statement = TAKE
        .of(business)
        .value(products)
        .value(on_hand)
        .rows(&remaining)
        .statement()?;
    let row = Taken::find_by_statement(statement)
        .one(transaction)
        .await?
        .ok_or_else(|| Error::Bug("the statement of the stock returned nothing".into()))?;
    // The rows are locked; a row that was not decremented would be sold again.
    if row.is_valid && row.taken.len() != remaining.len() {
        return Err(Error::Bug(format!(
            "{} products sold, {} rows updated",
            remaining.len(),
            row.taken.len()
        )));
    }
    // A batch records the versions of its rows before it commits. It has committed, since its rows are now locked
    // here.
    let expected = assumed
        .iter()
        .map(|(id, (_, version))| match predicted.get(id) {
            Some(predict) => predict.batch.borrow().versions.get(id).copied(),
            None => Some(*version),
        });
    let found = row
        .found
        .into_iter()
        .map(|xmin| Some(Version::of_row(xmin)));
    if !row.is_valid || !expected.eq(found) || is_withdrawn(predicted) {
        return Ok(None);
    }
    let products = remaining.iter().map(|one| one.product_id);
    let versions = row.taken.into_iter().map(Version::of_row);
    Ok(Some(products.zip(versions).collect()))
}

/// The stock that a batch is decided by: units on hand, predicted or read, and the version of the row when it was
/// read.
pub(super) type Assumed = BTreeMap<ProductId, (i64, Version)>;

/// The stock on hand that a batch leaves of the products that it has sold.
pub(super) fn left(assumed: &Assumed, locked_stock: &LockedStock) -> BTreeMap<ProductId, i64> {
    let left = assumed.iter().filter_map(|(id, (before, _))| {
        let on_hand = locked_stock.counts.get(id)?.on_hand;
        (on_hand != *before).then_some((*id, on_hand))
    });
    left.collect()
}

/// The back-off of a business after a failed validation. While it lasts, no stock is predicted.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    until: Option<Instant>,
}

impl BackOff {
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// Starts the back-off after a failed validation.
    pub(super) fn begin(&mut self, now: Instant) {
        self.until = Some(now + BACK_OFF);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_prediction_is_followed_by_a_second_without_predictions() {
        let (mut back_off, now) = (BackOff::default(), Instant::now());
        assert!(back_off.is_over(now));
        back_off.begin(now);
        assert!(!back_off.is_over(now + Duration::from_millis(999)));
        assert!(back_off.is_over(now + Duration::from_secs(1)));
    }
}
