//! Goods that come back from an order, and those that leave again when a return is undone.

use std::collections::BTreeMap;

use entity::stock_movements::Reason;
use entity::{OrderId, ProductId, Tenant, inventory};
use sea_orm::sea_query::extension::postgres::PgFunc;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{Movement, write};
use crate::{Caller, Error, Shortage, Transaction};

/// Stock that is locked, by product.
pub(crate) type Stock = BTreeMap<ProductId, inventory::Model>;

/// Locks stock by product id. Customers are locked before it and orders after it.
pub(crate) async fn lock(
    transaction: &Transaction,
    caller: &Caller,
    products: impl IntoIterator<Item = ProductId>,
) -> Result<Stock, Error> {
    let ids: Vec<Uuid> = products.into_iter().map(|id| id.0).collect();
    if ids.is_empty() {
        return Ok(Stock::new());
    }
    let rows = inventory::Entity::of(caller.business_id)
        .filter(Expr::col(inventory::Column::ProductId.as_column_ref()).eq(PgFunc::any(ids)))
        .order_by_asc(inventory::Column::ProductId)
        .lock_exclusive()
        .all(transaction)
        .await?;
    Ok(rows.into_iter().map(|row| (row.product_id, row)).collect())
}

/// Puts goods of an order back on the shelf, or takes them away again when the quantity is negative.
///
/// # Errors
/// [`Error::InsufficientStock`] with everything of which there is not enough to take.
pub(crate) async fn put_back(
    transaction: &Transaction,
    caller: &Caller,
    order: OrderId,
    stock: &Stock,
    goods: &[(ProductId, i64)],
) -> Result<(), Error> {
    let mut shortages = Vec::new();
    let mut movements = Vec::with_capacity(goods.len());
    for (product_id, quantity) in goods {
        let row = stock
            .get(product_id)
            .ok_or(Error::ProductNotFound(*product_id))?;
        if row.available() + quantity < 0 {
            shortages.push(Shortage {
                product_id: *product_id,
                requested: -quantity,
                available: row.available(),
            });
        }
        let movement = Movement {
            quantity: *quantity,
            on_hand_after: row.on_hand + quantity,
            reason: Reason::Returned,
            note: None,
        };
        movements.push((*product_id, movement));
    }
    if !shortages.is_empty() {
        return Err(Error::InsufficientStock(shortages));
    }
    write(transaction, caller, Some(order), movements).await?;
    Ok(())
}
