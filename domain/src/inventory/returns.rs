//! Goods that come back from an order, and those that leave again when a return is undone.

use std::collections::BTreeMap;

use entity::stock_movements::Reason;
use entity::{MovementId, OrderId, ProductId, Tenant, inventory};
use sea_orm::sea_query::extension::postgres::PgFunc;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, DbBackend, QueryFilter, QueryOrder, QuerySelect,
    Statement, Value,
};
use uuid::Uuid;

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
    stock: &Stock,
    goods: &[(ProductId, i64)],
) -> Result<(), Error> {
    let mut shortages = Vec::new();
    let mut on_hand: Vec<i64> = Vec::with_capacity(goods.len());
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
        on_hand.push(row.on_hand + quantity);
    }
    if !shortages.is_empty() {
        return Err(Error::InsufficientStock(shortages));
    }
    if goods.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = goods.iter().map(|_| MovementId::new().0).collect();
    let products: Vec<Uuid> = goods.iter().map(|(product, _)| product.0).collect();
    let quantities: Vec<i64> = goods.iter().map(|(_, quantity)| *quantity).collect();
    let values: [Value; 8] = [
        caller.business_id.0.into(),
        order.0.into(),
        caller.user_id.0.into(),
        ids.into(),
        products.into(),
        quantities.into(),
        on_hand.into(),
        Reason::Returned.to_value().into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, MOVE, values);
    let moved = transaction.execute_raw(statement).await?.rows_affected();
    if usize::try_from(moved).ok() != Some(goods.len()) {
        return Err(Error::Bug(format!(
            "{moved} of {} goods moved",
            goods.len()
        )));
    }
    Ok(())
}
