//! The one statement that writes movements and the counts that they lead to.

use std::collections::BTreeMap;

use entity::{MovementId, OrderId, ProductId};
use sea_orm::{ActiveEnum, ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use super::{NewMovement, StockChange};
use crate::audit::Actor;
use crate::stock::locked_stock::{self, LockedStock};
use crate::{Error, Transaction};

/// A movement that is written down.
#[derive(Debug, Clone)]
pub struct Moved {
    /// Of which product.
    pub product_id: ProductId,
    /// What it was.
    pub change: StockChange,
}

/// A remark is never empty, so that empty text stands for none.
const WRITE: &str = "
WITH counted AS (
    UPDATE inventory SET on_hand = counted.on_hand, updated_at = now()
      FROM unnest($10::uuid[], $11::bigint[]) AS counted (product_id, on_hand)
     WHERE inventory.business_id = $1 AND inventory.product_id = counted.product_id
)
INSERT INTO stock_movements (business_id, product_id, id, quantity, on_hand_after, reason, note, order_id, actor_id)
SELECT $1, product_id, id, quantity, on_hand, reason, nullif(note, ''), $2, $3
  FROM unnest($4::uuid[], $5::uuid[], $6::bigint[], $7::bigint[], $8::text[], $9::text[])
    AS moved (id, product_id, quantity, on_hand, reason, note)
RETURNING created_at";

/// Writes movements of locked stock, in their order; those of one product follow from each other. What comes to the shelf
/// goes to those who wait. `order` is the order to which the goods went, or from which they came back. What has become of
/// reservations on this shelf is written with it.
pub(crate) async fn write(
    transaction: &Transaction,
    actor: Actor<'_>,
    order: Option<OrderId>,
    shelf: &mut LockedStock,
    movements: Vec<(ProductId, NewMovement)>,
) -> Result<Vec<Moved>, Error> {
    if movements.is_empty() {
        return Ok(Vec::new());
    }
    for (product, on_hand) in counts(&movements) {
        let before = shelf
            .counts
            .get(&product)
            .map_or(on_hand, |one| one.on_hand);
        shelf.take(product, before - on_hand);
    }
    // First, since what has expired may be more than what is left on hand.
    let business = actor.business_id;
    locked_stock::write(transaction, business, shelf, Vec::new(), Vec::new()).await?;
    let ids: Vec<Uuid> = movements.iter().map(|_| MovementId::new().0).collect();
    let statement = statement(actor, order, &ids, &movements);
    let rows = transaction.query_all_raw(statement).await?;
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
            id,
            quantity: movement.quantity,
            on_hand_after: movement.on_hand_after,
            reason: Some(movement.reason),
            note: movement.note,
            reserved: 0,
            order_id: order,
            reservation_id: None,
            actor_id: actor.user_id,
            // The same on all rows.
            created_at: row.try_get_by_index(0)?,
        };
        Ok(Moved { product_id, change })
    });
    moved.collect()
}

/// What is on hand after all movements.
fn counts(movements: &[(ProductId, NewMovement)]) -> BTreeMap<ProductId, i64> {
    let after = movements.iter();
    after
        .map(|(product, movement)| (*product, movement.on_hand_after))
        .collect()
}

fn statement(
    actor: Actor<'_>,
    order: Option<OrderId>,
    ids: &[Uuid],
    movements: &[(ProductId, NewMovement)],
) -> Statement {
    let (counted, counts): (Vec<Uuid>, Vec<i64>) = counts(movements)
        .into_iter()
        .map(|(product, on_hand)| (product.0, on_hand))
        .unzip();
    let of = |figure: fn(&NewMovement) -> i64| -> Vec<i64> {
        movements
            .iter()
            .map(|(_, movement)| figure(movement))
            .collect()
    };
    let products: Vec<Uuid> = movements.iter().map(|(product, _)| product.0).collect();
    let reasons = movements
        .iter()
        .map(|(_, movement)| movement.reason.to_value());
    let notes = movements
        .iter()
        .map(|(_, movement)| movement.note.clone().unwrap_or_default());
    let values: [Value; 11] = [
        actor.business_id.0.into(),
        order.map(|order| order.0).into(),
        actor.user_id.0.into(),
        ids.to_vec().into(),
        products.into(),
        of(|movement| movement.quantity).into(),
        of(|movement| movement.on_hand_after).into(),
        reasons.collect::<Vec<String>>().into(),
        notes.collect::<Vec<String>>().into(),
        counted.into(),
        counts.into(),
    ];
    Statement::from_sql_and_values(DbBackend::Postgres, WRITE, values)
}
