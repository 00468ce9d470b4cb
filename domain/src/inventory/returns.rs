//! Goods that come back from an order, and those that leave again when a return is undone.

use entity::stock_movements::Reason;
use entity::{MovementId, OrderId, ProductId};
use sea_orm::{ActiveEnum, ConnectionTrait, DbBackend, Statement, Value};

use crate::shelf::{self, Range, Shelf, each};
use crate::{Caller, Error, Shortage, Transaction};

/// Locks the stock of goods that are to be put back, or taken away where the quantity is negative.
pub(crate) async fn open(
    transaction: &Transaction,
    caller: &Caller,
    goods: impl IntoIterator<Item = (ProductId, i64)>,
) -> Result<Shelf, Error> {
    let ranges = goods.into_iter().map(|(product, quantity)| {
        let range = Range {
            taken: -quantity.min(0),
            returned: quantity.max(0),
        };
        (product, range)
    });
    shelf::open(transaction, caller.business_id, ranges).await
}

const MOVE: &str = "
WITH moved AS (
    SELECT * FROM unnest($4::uuid[], $5::uuid[], $6::bigint[], $7::bigint[])
        AS moved (id, product_id, quantity, on_hand)
), counted AS (
    UPDATE inventory SET on_hand = moved.on_hand, updated_at = now()
      FROM moved
     WHERE inventory.business_id = $1 AND inventory.product_id = moved.product_id
)
INSERT INTO stock_movements (business_id, product_id, id, quantity, on_hand_after, reason, order_id, actor_id)
SELECT $1, product_id, id, quantity, on_hand, $8, $2, $3 FROM moved";

/// Puts goods of an order back on the shelf, or takes them away again when the quantity is negative.
///
/// # Errors
/// [`Error::InsufficientStock`] with everything of which there is not enough to take.
pub(crate) async fn put_back(
    transaction: &Transaction,
    caller: &Caller,
    order: OrderId,
    shelf: &mut Shelf,
    goods: &[(ProductId, i64)],
) -> Result<(), Error> {
    let mut shortages = Vec::new();
    for (product_id, quantity) in goods {
        let counts = shelf.counts.get(product_id);
        let available = counts.ok_or(Error::ProductNotFound(*product_id))?.free();
        if available + quantity < 0 {
            shortages.push(Shortage {
                product_id: *product_id,
                requested: -quantity,
                available,
            });
        }
    }
    if !shortages.is_empty() {
        return Err(Error::InsufficientStock(shortages));
    }
    if goods.is_empty() {
        return Ok(());
    }
    let take = |(product, quantity): &(ProductId, i64)| shelf.take(*product, -quantity);
    let on_hand: Vec<i64> = goods.iter().map(take).collect();
    let values: [Value; 8] = [
        caller.business_id.0.into(),
        order.0.into(),
        caller.user_id.0.into(),
        each(goods, |_| MovementId::new().0),
        each(goods, |(product, _)| product.0),
        each(goods, |(_, quantity)| *quantity),
        on_hand.into(),
        Reason::Returned.to_value().into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, MOVE, values);
    // Before the counts: what had expired is not reserved any more when goods leave.
    shelf::write(
        transaction,
        caller.business_id,
        shelf,
        Vec::new(),
        Vec::new(),
    )
    .await?;
    let moved = transaction.execute_raw(statement).await?.rows_affected();
    if usize::try_from(moved).ok() != Some(goods.len()) {
        return Err(Error::Bug(format!(
            "{moved} of {} goods moved",
            goods.len()
        )));
    }
    Ok(())
}
