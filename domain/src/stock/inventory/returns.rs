//! Goods returned from an order, and goods that leave again when a return is reversed.

use entity::stock_movements::Reason;
use entity::{OrderId, ProductId};

use super::{NewMovement, write};
use crate::stock::locked_stock::{self, LockedStock, Range};
use crate::{Caller, Error, Shortage, Transaction};

/// Locks the stock of returned goods; a negative quantity takes goods away. Customers must be locked before it and
/// orders after it.
pub(crate) async fn lock_stock(
    transaction: &Transaction,
    caller: &Caller,
    goods: impl IntoIterator<Item = (ProductId, i64)>,
) -> Result<LockedStock, Error> {
    let goods = goods.into_iter();
    let ranges = goods.map(|(product, quantity)| (product, Range::of(quantity)));
    locked_stock::lock(transaction, caller.business_id, ranges).await
}

/// Restocks goods of an order, or takes them away again where the quantity is negative.
///
/// # Errors
/// [`Error::InsufficientStock`] with every product whose unreserved stock is too small;
/// [`Error::ProductNotFound`].
pub(crate) async fn restock(
    transaction: &Transaction,
    caller: &Caller,
    order: OrderId,
    locked_stock: &mut LockedStock,
    goods: &[(ProductId, i64)],
) -> Result<(), Error> {
    let mut shortages = Vec::new();
    let mut movements = Vec::with_capacity(goods.len());
    for (product_id, quantity) in goods {
        let counts = locked_stock
            .counts
            .get(product_id)
            .ok_or(Error::ProductNotFound(*product_id))?;
        if counts.unreserved() + quantity < 0 {
            shortages.push(Shortage {
                product_id: *product_id,
                requested: -quantity,
                available: counts.unreserved(),
            });
        }
        let movement = NewMovement {
            quantity: *quantity,
            on_hand_after: counts.on_hand + quantity,
            reason: Reason::Returned,
            note: None,
        };
        movements.push((*product_id, movement));
    }
    if !shortages.is_empty() {
        return Err(Error::InsufficientStock(shortages));
    }
    write(
        transaction,
        caller.into(),
        Some(order),
        locked_stock,
        movements,
    )
    .await?;
    Ok(())
}
