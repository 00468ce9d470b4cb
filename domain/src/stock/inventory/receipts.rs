//! Many movements at once: all of them or none.

use std::collections::{BTreeMap, HashMap};

use entity::ProductId;
use entity::stock_movements::{CorrectionReason, Reason};
use serde_json::json;

use super::{Moved, NewMovement, after, returns};
use crate::audit::{self, Action, Change};
use crate::stock::locked_stock::StockLevel;
use crate::{Database, Error, Outcome, Shortage, WriteRequest};

/// One of many movements.
#[derive(Debug, Clone)]
pub struct Line {
    /// Of which product.
    pub product_id: ProductId,
    /// What comes, or leaves when negative. Not 0.
    pub quantity: i64,
    /// Why.
    pub reason: CorrectionReason,
    /// What is remarked.
    pub note: Option<String>,
}

/// Moves stock, line by line in their order: what one line brings another may take.
///
/// # Errors
/// [`Error::ProductNotFound`] with the first that is unknown; [`Error::InsufficientStock`] with everything of which more
/// would leave, at some line, than is there and not reserved; [`Error::StockLimitExceeded`];
/// those of [`WriteRequest`].
pub async fn receive(
    database: &Database,
    request: &WriteRequest<'_, Vec<Moved>>,
    lines: &[Line],
) -> Result<Outcome<Vec<Moved>>, Error> {
    let caller = request.caller;
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            let lines_by = lines.iter().map(|line| (line.product_id, line.quantity));
            let mut shelf = returns::open(transaction, caller, lines_by).await?;
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            let movements = decide(&shelf.counts, lines)?;
            let before = shelf.counts.iter();
            let before = before
                .map(|(id, one)| (id.to_string(), one.on_hand))
                .collect();
            let moved =
                super::write(transaction, caller.into(), None, &mut shelf, movements).await?;
            if let Some(event) = event(before, &moved) {
                audit::record(transaction, caller, event).await?;
            }
            write.finish(moved).await
        })
        .await
}

/// What each line leaves on the shelf, or why they cannot all be.
fn decide(
    stock: &HashMap<ProductId, StockLevel>,
    lines: &[Line],
) -> Result<Vec<(ProductId, NewMovement)>, Error> {
    let mut on_hand = BTreeMap::new();
    let mut short: BTreeMap<ProductId, Shortage> = BTreeMap::new();
    let mut movements = Vec::with_capacity(lines.len());
    for line in lines {
        let row = stock
            .get(&line.product_id)
            .ok_or(Error::ProductNotFound(line.product_id))?;
        let count = on_hand.entry(line.product_id).or_insert(row.on_hand);
        *count = after(line.product_id, *count, line.quantity)?;
        if *count < row.reserved {
            // What leaves altogether where the most has left.
            let requested = row.on_hand - *count;
            let shortage = short.entry(line.product_id).or_insert(Shortage {
                product_id: line.product_id,
                requested,
                available: row.free(),
            });
            shortage.requested = shortage.requested.max(requested);
        }
        movements.push((
            line.product_id,
            NewMovement {
                quantity: line.quantity,
                on_hand_after: *count,
                reason: Reason::from(line.reason),
                note: line.note.clone(),
            },
        ));
    }
    if short.is_empty() {
        Ok(movements)
    } else {
        Err(Error::InsufficientStock(short.into_values().collect()))
    }
}

/// One event for all: the counts before and after, and what led from the one to the other.
fn event(before: BTreeMap<String, i64>, moved: &[Moved]) -> Option<Change> {
    let after: BTreeMap<String, i64> = moved
        .iter()
        .map(|moved| (moved.product_id.to_string(), moved.change.on_hand_after))
        .collect();
    let movements = moved.iter().map(|moved| {
        json!({
            "product_id": moved.product_id,
            "quantity": moved.change.quantity,
            "reason": moved.change.reason,
            "note": moved.change.note,
        })
    });
    Some(Change {
        action: Action::InventoryMoved,
        entity_type: "stock_movement",
        // The first stands for all.
        entity_id: moved.first()?.change.id,
        before: Some(json!({ "on_hand": before })),
        after: json!({ "on_hand": after, "movements": movements.collect::<Vec<_>>() }),
    })
}
