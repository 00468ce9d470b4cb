//! Import of stock: a table of counts, or of units that were received, all or nothing.
//!
//! Locks the stock of every product of the table, by product id, until the commit. Costs one look-up, one lock, one
//! write, and one statement of audit entries per 1,000 rows.

use std::collections::{BTreeMap, HashMap};
use std::slice;

use entity::ProductId;
use entity::stock_movements::Reason;

use super::receipts;
use super::{Correction, Moved, NewMovement, corrected, correction_event, write};
use crate::audit::{self, Change};
use crate::foundation::imports::{CHUNK, Import, ImportRow, Imported, RowFault, RowRefusal};
use crate::foundation::tables;
use crate::stock::locked_stock::{self, LockedStock, Range, StockLevel};
use crate::stock::skus::{self, Found};
use crate::{Caller, Database, Error, Outcome, Transaction, WriteRequest};

/// The units of a product in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockRow {
    /// The SKU, in any case and width.
    pub sku: String,
    /// The units that were counted, or that were received.
    pub quantity: i64,
    /// A free text for the movement.
    pub note: Option<String>,
}

/// The meaning of the quantities in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// The units on hand, as counted.
    #[default]
    Counted,
    /// Units that arrived.
    Received,
}

impl Mode {
    fn correction(self, quantity: i64) -> Correction {
        match self {
            Self::Counted => Correction::Set(quantity),
            Self::Received => Correction::Adjust(quantity),
        }
    }

    fn reason(self) -> Reason {
        match self {
            Self::Counted => Reason::Stocktake,
            Self::Received => Reason::Received,
        }
    }

    fn range(self, quantity: i64) -> Range {
        match self {
            Self::Counted => Range {
                taken: i64::MAX,
                returned: quantity,
            },
            Self::Received => Range::of(quantity),
        }
    }
}

/// Sets or adds to the stock of the products of a table. Each row is a movement.
///
/// # Errors
/// [`Error::RowsRefused`] with every unknown or repeated SKU, every count below the reserved units, and every product
/// that would exceed [`entity::inventory::MAX_ON_HAND`]; those of [`WriteRequest`].
pub async fn import(
    database: &Database,
    request: &WriteRequest<'_, Imported>,
    mode: Mode,
    import: &Import<StockRow>,
) -> Result<Outcome<Imported>, Error> {
    let caller = request.caller;
    request
        .run(database, || async {
            let attempt = request.begin(database).await?;
            let transaction = attempt.transaction();
            let found = skus::find(transaction, caller.business_id, &import.rows, |row| {
                &row.sku
            })
            .await?;
            let mut locked_stock = lock(transaction, caller, mode, import, &found).await?;
            if let Some(replayed) = attempt.replayed().await? {
                return Ok(replayed);
            }
            let movements = decide(&locked_stock.counts, mode, &import.rows, &found)?;
            if import.dry_run {
                return attempt.discard(import.outcome()).await;
            }
            let before = locked_stock.counts.iter();
            let before: HashMap<ProductId, i64> =
                before.map(|(id, level)| (*id, level.on_hand)).collect();
            let moved = write(
                transaction,
                caller.into(),
                None,
                &mut locked_stock,
                movements,
            )
            .await?;
            for moved in moved.chunks(CHUNK) {
                let changes = moved.iter().filter_map(|moved| {
                    event(mode, before.get(&moved.product_id).copied()?, moved)
                });
                audit::record_all(transaction, caller.into(), changes).await?;
            }
            attempt.finish(import.outcome()).await
        })
        .await
}

/// Locks the stock of the known products of the table.
async fn lock(
    transaction: &Transaction,
    caller: &Caller,
    mode: Mode,
    import: &Import<StockRow>,
    found: &[Found],
) -> Result<LockedStock, Error> {
    let ranges = import.rows.iter().zip(found).filter_map(|(row, found)| {
        let range = mode.range(row.value.quantity);
        found.product_id.map(|product| (product, range))
    });
    locked_stock::lock(transaction, caller.business_id, ranges).await
}

/// The movement of each row.
///
/// # Errors
/// [`Error::RowsRefused`] with every fault.
fn decide(
    stock: &HashMap<ProductId, StockLevel>,
    mode: Mode,
    rows: &[ImportRow<StockRow>],
    found: &[Found],
) -> Result<Vec<(ProductId, NewMovement)>, Error> {
    let mut faults = Vec::new();
    let mut movements = Vec::with_capacity(rows.len());
    for (row, found) in rows.iter().zip(found) {
        let level = found.product_id.and_then(|id| Some((id, stock.get(&id)?)));
        let Some((id, level)) = level else {
            faults.push(found.fault(RowRefusal::UnknownProduct));
            continue;
        };
        if let Some(fault) = found.repeated() {
            faults.push(fault);
            continue;
        }
        let row_fault = |reason| RowFault {
            line: row.line,
            column: "quantity",
            reason,
        };
        match corrected(id, level, mode.correction(row.value.quantity)) {
            Ok(on_hand) => movements.push((
                id,
                NewMovement {
                    quantity: on_hand - level.on_hand,
                    on_hand_after: on_hand,
                    reason: mode.reason(),
                    note: row.value.note.clone(),
                },
            )),
            Err(Error::CountedBelowReserved { reserved, .. }) => {
                faults.push(row_fault(RowRefusal::BelowReserved(reserved)));
            }
            Err(Error::StockLimitExceeded { .. }) => {
                faults.push(row_fault(RowRefusal::StockLimit));
            }
            Err(other) => return Err(other),
        }
    }
    tables::refuse(faults)?;
    Ok(movements)
}

/// The audit entry of a row: that of a correction for a count, that of a receipt otherwise.
fn event(mode: Mode, before: i64, moved: &Moved) -> Option<Change> {
    match mode {
        Mode::Counted => Some(correction_event(before, moved)),
        Mode::Received => {
            let before = BTreeMap::from([(moved.product_id.to_string(), before)]);
            receipts::event(before, slice::from_ref(moved))
        }
    }
}
