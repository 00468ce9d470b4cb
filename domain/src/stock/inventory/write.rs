//! Writes stock movements and the resulting counts in one statement.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use entity::{MovementId, OrderId, ProductId};
use sea_orm::FromQueryResult;

use super::{NewMovement, StockChange};
use crate::audit::Actor;
use crate::foundation::rows::{ArrayStatement, Columns, Row};
use crate::stock::locked_stock::{self, LockedStock};
use crate::stock::new_movements;
use crate::{Error, Transaction};

/// A movement that was written.
#[derive(Debug, Clone)]
pub struct Moved {
    /// The product whose stock changed.
    pub product_id: ProductId,
    /// The change as it is listed later.
    pub change: StockChange,
}

/// A product's new count of units on hand.
struct OnHand {
    product_id: ProductId,
    on_hand: i64,
}

impl Row for OnHand {
    const NAME: &'static str = "counted";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("product_id", |counted| counted.product_id);
        columns.column("on_hand", |counted| counted.on_hand);
    }
}

/// Raw: one statement that updates stock and inserts its movements.
static WRITE: LazyLock<ArrayStatement> = LazyLock::new(|| {
    ArrayStatement::new(|arrays| {
        let counts = arrays.rows::<OnHand>();
        let movements = arrays.insert_returning::<new_movements::NewMovement<'_>>("created_at");
        format!(
            "
WITH counted AS (
    UPDATE inventory SET on_hand = counted.on_hand, updated_at = now()
      FROM {counts}
     WHERE inventory.business_id = $1 AND inventory.product_id = counted.product_id
 RETURNING 1
)
{movements}"
        )
    })
});

/// A row that [`WRITE`] returns for each movement.
#[derive(FromQueryResult)]
struct Written {
    created_at: DateTime<Utc>,
}

/// Writes movements of locked stock, in their order; each of one product must start from the count that the previous
/// one left. Units that become available are allocated to the waitlist. `order` is the order that received the goods,
/// or returned them. Changed reservations of the locked stock are written too.
///
/// Costs one statement more if holds or waitlists have changed.
pub(crate) async fn write(
    transaction: &Transaction,
    actor: Actor<'_>,
    order: Option<OrderId>,
    locked_stock: &mut LockedStock,
    movements: Vec<(ProductId, NewMovement)>,
) -> Result<Vec<Moved>, Error> {
    if movements.is_empty() {
        return Ok(Vec::new());
    }
    for (product, on_hand) in counts(&movements) {
        let before = locked_stock
            .counts
            .get(&product)
            .map_or(on_hand, |one| one.on_hand);
        locked_stock.take(product, before - on_hand);
    }
    // Must come first: expired holds may exceed the new count on hand until they are released.
    let business = actor.business_id;
    locked_stock::write(transaction, business, locked_stock, Vec::new(), Vec::new()).await?;
    let ids: Vec<MovementId> = movements.iter().map(|_| MovementId::new()).collect();
    let new = ids.iter().zip(&movements);
    let new: Vec<new_movements::NewMovement<'_>> = new
        .map(|(id, (product_id, movement))| new_movements::NewMovement {
            id: *id,
            product_id: *product_id,
            quantity: movement.quantity,
            on_hand_after: movement.on_hand_after,
            reason: movement.reason,
            note: movement.note.as_deref(),
            reserved: 0,
            reservation_id: None,
            order_id: order,
            actor: actor.user_id,
        })
        .collect();
    let counts: Vec<OnHand> = counts(&movements)
        .into_iter()
        .map(|(product_id, on_hand)| OnHand {
            product_id,
            on_hand,
        })
        .collect();
    let statement = WRITE.of(business).rows(&counts).rows(&new).statement()?;
    let rows = Written::find_by_statement(statement)
        .all(transaction)
        .await?;
    if rows.len() != movements.len() {
        return Err(Error::Bug(format!(
            "{} of {} movements were written",
            rows.len(),
            movements.len()
        )));
    }
    let moved = rows.iter().zip(ids).zip(movements);
    let moved = moved.map(|((row, id), (product_id, movement))| {
        let change = StockChange {
            id: id.0,
            quantity: movement.quantity,
            on_hand_after: movement.on_hand_after,
            reason: Some(movement.reason),
            note: movement.note,
            reserved: 0,
            order_id: order,
            reservation_id: None,
            actor_id: actor.user_id,
            // The transaction's time, the same for all rows.
            created_at: row.created_at,
        };
        Moved { product_id, change }
    });
    Ok(moved.collect())
}

/// The count of each product after all its movements.
fn counts(movements: &[(ProductId, NewMovement)]) -> BTreeMap<ProductId, i64> {
    let after = movements.iter();
    after
        .map(|(product, movement)| (*product, movement.on_hand_after))
        .collect()
}
