//! Many movements in one transaction: all of them are written, or none.

use std::collections::{BTreeMap, HashMap};

use entity::ProductId;
use entity::stock_movements::{CorrectionReason, Reason};
use serde_json::json;

use super::{Moved, NewMovement, after, returns};
use crate::audit::{self, Action, Change};
use crate::stock::locked_stock::StockLevel;
use crate::{Database, Error, Outcome, Shortage, WriteRequest};

/// One of the requested movements.
#[derive(Debug, Clone)]
pub struct Line {
    /// The product to move.
    pub product_id: ProductId,
    /// Units that arrive; negative when they leave. Never 0.
    pub quantity: i64,
    /// The reason that the movement records.
    pub reason: CorrectionReason,
    /// A free text for the movement.
    pub note: Option<String>,
}

/// Moves stock, line by line in their order: a line may take what an earlier one brought.
///
/// # Errors
/// [`Error::ProductNotFound`] with the first unknown product; [`Error::InsufficientStock`] with every
/// product of which, at some line, more than the unreserved stock would leave; [`Error::StockLimitExceeded`]; those
/// of [`WriteRequest`].
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
            let mut locked_stock = returns::lock_stock(transaction, caller, lines_by).await?;
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            let movements = decide(&locked_stock.counts, lines)?;
            let before = locked_stock.counts.iter();
            let before = before
                .map(|(id, one)| (id.to_string(), one.on_hand))
                .collect();
            let moved = super::write(
                transaction,
                caller.into(),
                None,
                &mut locked_stock,
                movements,
            )
            .await?;
            if let Some(event) = event(before, &moved) {
                audit::record(transaction, caller, event).await?;
            }
            write.finish(moved).await
        })
        .await
}

/// The movement of each line with the count after it.
///
/// # Errors
/// Those of [`receive`] about products and stock.
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
            // The units that have left in total, at the line where that is highest.
            let requested = row.on_hand - *count;
            let shortage = short.entry(line.product_id).or_insert(Shortage {
                product_id: line.product_id,
                requested,
                available: row.unreserved(),
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

/// One audit entry for all movements: the counts before and after, and the movements.
pub(super) fn event(before: BTreeMap<String, i64>, moved: &[Moved]) -> Option<Change> {
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
        // The first movement's id stands for all.
        entity_id: moved.first()?.change.id,
        before: Some(json!({ "on_hand": before })),
        after: json!({ "on_hand": after, "movements": movements.collect::<Vec<_>>() }),
    })
}
