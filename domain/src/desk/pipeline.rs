//! Promises: what a batch that is still being written will leave of its stock.
//!
//! All sales of one product wait for its row, and whoever has the row keeps it until its commit is on the disk. If each
//! batch first had the row and then wrote its orders, a product that everyone wants would be sold by one database
//! process at a time. So a batch of plain purchases says what it leaves on hand as soon as it is decided, and the next
//! one *follows* (`batch.rs`): it locks its customers, is decided by what was promised, writes its orders beside the batch
//! before it, and only then locks its stock, finds there what was promised, counts it down and commits.
//!
//! A promise is a guess about the database like any other. What is found under the locks decides: where rows are not as they
//! were promised, or were last written by anybody but who promised them, the follower undoes everything, waits until those
//! that it followed have ended, and is sold like everyone, locks first. So nothing is sold that is not there, nobody is
//! refused for stock that is there, and who came first goes first, whatever others do to the same rows, from this process
//! or another.
//!
//! The lock order stands: customers by id, then stock by product id. What the orders' foreign keys lock of the stock before
//! that (`FOR KEY SHARE`) waits for nobody, as long as everyone who locks stock does it `FOR NO KEY UPDATE`.

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

/// How long a business makes no promises after one that was not kept: somebody else sells the same goods.
const BACK_OFF: Duration = Duration::from_secs(1);

/// What a batch that has sold of a product leaves of it, of which nothing is held or waited for.
#[derive(Debug, Clone)]
pub(super) struct PredictedStock {
    /// This many on hand.
    pub(super) on_hand: i64,
    /// How far who promises it is. Closed when it has ended.
    pub(super) batch: watch::Receiver<Progress>,
}

/// Which version of a row was read or written, as its `xmin` tells. [`StockLevel`](crate::stock::locked_stock::StockLevel)
/// alone would not tell that others have changed the row and changed it back: what they did then would stand before what
/// was sold earlier, by the order of ids. It is compared and nothing else: whoever writes a row is told its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(i64);

impl Version {
    pub(super) fn of_row(xmin: i64) -> Self {
        Self(xmin)
    }
}

/// The versions of the rows of stock that a batch has written.
pub(super) type Versions = BTreeMap<ProductId, Version>;

/// How far a batch is that has promised something, and what the rows are to show that it has written.
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

    /// Its stock is written.
    pub(super) fn wrote(&mut self, versions: Versions) {
        self.versions = versions;
    }
}

/// The stage of a batch that has promised something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// A follower could still be at its stock before it.
    Open,
    /// It has its stock locked.
    Locked,
    /// It has begun anew. Even if it comes to the same: what is sold after it is to be decided after it.
    Withdrawn,
}

/// What the batches before this one have promised of its products. Empty when there is nothing to follow.
pub(super) type Predictions = HashMap<ProductId, PredictedStock>;

/// Waits until none who promised something is [`Stage::Open`].
async fn locked(predicted: &Predictions) {
    for predict in predicted.values() {
        let mut batch = predict.batch.clone();
        // Who has ended without a lock has sold nothing.
        let _ = batch
            .wait_for(|progress| progress.stage != Stage::Open)
            .await;
    }
}

fn is_withdrawn(predicted: &Predictions) -> bool {
    let mut predictions = predicted.values();
    predictions.any(|predict| predict.batch.borrow().stage == Stage::Withdrawn)
}

/// Waits until all have ended who promised something.
pub(super) async fn ended(predicted: &Predictions) {
    for predict in predicted.values() {
        let mut batch = predict.batch.clone();
        while batch.changed().await.is_ok() {}
    }
}

/// What is left of a product.
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

/// The stock of a batch that follows, locked in the one order and counted down where it is all as it was assumed to be.
/// Both lists of products are in that order.
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
        format!(
            "
WITH stock AS MATERIALIZED (
    {stock}
), kept AS MATERIALIZED (
    SELECT array_agg(on_hand ORDER BY product_id) = {on_hand} AND bool_and(reserved = 0 AND waiting = 0) AS is_valid,
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

/// What [`TAKE`] returns: whether the stock was as it was assumed to be, the versions of its rows then, and those of the
/// rows that were counted down, by product id.
#[derive(FromQueryResult)]
struct Taken {
    is_valid: bool,
    found: Vec<i64>,
    taken: Vec<i64>,
}

/// Locks the stock of a batch that follows, and takes what it has sold. `None` when the stock is not what it was assumed to
/// be: then nothing of the batch may stand.
pub(super) async fn take(
    transaction: &Transaction,
    business: BusinessId,
    predicted: &Predictions,
    assumed: &Assumed,
    shelf: &LockedStock,
) -> Result<Option<Versions>, Error> {
    locked(predicted).await;
    if is_withdrawn(predicted) {
        return Ok(None);
    }
    let (products, on_hand): (Vec<Uuid>, Vec<i64>) = assumed
        .iter()
        .map(|(id, (on_hand, _))| (id.0, *on_hand))
        .unzip();
    let remaining: Vec<Remaining> = left(assumed, shelf)
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
        .ok_or_else(|| Error::Bug("the stock's statement answered nothing".into()))?;
    // The rows are locked: one that is not counted down would be sold again.
    if row.is_valid && row.taken.len() != remaining.len() {
        return Err(Error::Bug(format!(
            "{} products sold, {} rows updated",
            remaining.len(),
            row.taken.len()
        )));
    }
    // Who has written a row has said so before it committed, and has committed, now that the row is locked.
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

/// The stock that a batch is decided by: how many are on hand, as was promised if it was, and who had written the row last
/// when it was read.
pub(super) type Assumed = BTreeMap<ProductId, (i64, Version)>;

/// What is left of the products that a batch has sold of.
pub(super) fn left(assumed: &Assumed, shelf: &LockedStock) -> BTreeMap<ProductId, i64> {
    let left = assumed.iter().filter_map(|(id, (before, _))| {
        let on_hand = shelf.counts.get(id)?.on_hand;
        (on_hand != *before).then_some((*id, on_hand))
    });
    left.collect()
}

/// Whether a business makes promises.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    until: Option<Instant>,
}

impl BackOff {
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// A promise was not kept.
    pub(super) fn begin(&mut self, now: Instant) {
        self.until = Some(now + BACK_OFF);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_promise_is_followed_by_a_second_without_any() {
        let (mut back_off, now) = (BackOff::default(), Instant::now());
        assert!(back_off.is_over(now));
        back_off.begin(now);
        assert!(!back_off.is_over(now + Duration::from_millis(999)));
        assert!(back_off.is_over(now + Duration::from_secs(1)));
    }
}
