//! Stock: counting it, correcting it, and the trail of every change.

pub(crate) mod returns;

use chrono::{DateTime, Utc};
use entity::stock_movements::Reason;
use entity::{
    MovementId, OrderId, ProductId, ReservationId, Tenant, UserId, inventory, order_items, orders,
    stock_movements,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, Change};
use crate::retry::retry;
use crate::shelf::{self, Counts, Range};
use crate::{Caller, Database, Error, Page, Paging, Shortage, Transaction, page};

/// What happens to a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// So many came, or left when negative.
    Adjust(i64),
    /// So many were counted.
    Set(i64),
}

/// One change of a product's count on hand, a sale or a correction.
#[derive(Debug, Clone)]
pub struct StockChange {
    /// The movement's id, or that of the order which was the movement.
    pub id: Uuid,
    /// What was added; negative when stock left the shelf.
    pub quantity: i64,
    /// What was on the shelf then.
    pub on_hand_after: i64,
    /// `None` for a sale.
    pub reason: Option<Reason>,
    /// What was remarked.
    pub note: Option<String>,
    /// What was added to what is reserved.
    pub reserved: i64,
    /// The order, for a sale or a return; what a reservation became.
    pub order_id: Option<OrderId>,
    /// Whose stock was held or released.
    pub reservation_id: Option<ReservationId>,
    /// Who did it.
    pub actor_id: UserId,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// A correction that is to be written down.
pub(crate) struct Movement {
    pub(crate) quantity: i64,
    pub(crate) on_hand_after: i64,
    pub(crate) reason: Reason,
    pub(crate) note: Option<String>,
}

/// Corrects a count.
///
/// # Errors
/// [`Error::ProductNotFound`]; [`Error::InsufficientStock`] when more would leave than is there and not reserved;
/// [`Error::Conflict`] when less was counted than is reserved.
pub async fn correct(
    database: &Database,
    caller: &Caller,
    id: ProductId,
    correction: Correction,
    reason: Reason,
    note: Option<String>,
) -> Result<inventory::Model, Error> {
    retry(|| async {
        let transaction = database.begin(caller.business_id).await?;
        let business = caller.business_id;
        let range = match correction {
            Correction::Adjust(by) => Range {
                taken: -by.min(0),
                returned: by.max(0),
            },
            Correction::Set(counted) => Range {
                taken: i64::MAX,
                returned: counted,
            },
        };
        let mut shelf = shelf::open(&transaction, business, [(id, range)]).await?;
        let before = shelf.counts.get(&id).ok_or(Error::ProductNotFound(id))?;
        let before = before.clone();
        let on_hand = corrected(id, &before, correction)?;
        let movement = Movement {
            quantity: on_hand - before.on_hand,
            on_hand_after: on_hand,
            reason,
            note: note.clone(),
        };
        let event = Change {
            action: "inventory.corrected",
            entity_type: "inventory",
            entity_id: id.0,
            before: Some(json!({ "on_hand": before.on_hand })),
            after: json!({ "on_hand": on_hand, "reason": reason, "note": note }),
        };
        record(&transaction, caller, id, movement).await?;
        shelf.take(id, before.on_hand - on_hand);
        // Before the count: what had expired is not reserved any more when there are fewer.
        shelf::write(&transaction, business, &shelf, Vec::new(), Vec::new()).await?;
        inventory::Entity::update_of(business)
            .filter(inventory::Column::ProductId.eq(id))
            .col_expr(inventory::Column::OnHand, Expr::value(on_hand))
            .col_expr(inventory::Column::UpdatedAt, Expr::current_timestamp())
            .exec(&transaction)
            .await?;
        let stock = inventory::Entity::of(business)
            .filter(inventory::Column::ProductId.eq(id))
            .one(&transaction)
            .await?
            .ok_or(Error::ProductNotFound(id))?;
        audit::record(&transaction, caller, event).await?;
        transaction.commit().await?;
        Ok(stock)
    })
    .await
}

/// The count after the correction, or why it cannot be: what is reserved stays on the shelf.
fn corrected(id: ProductId, stock: &Counts, correction: Correction) -> Result<i64, Error> {
    match correction {
        Correction::Adjust(by) => {
            let on_hand = stock
                .on_hand
                .checked_add(by)
                .ok_or(Error::Conflict("the count would be too large"))?;
            if on_hand < stock.reserved {
                return Err(Error::InsufficientStock(vec![Shortage {
                    product_id: id,
                    requested: -by,
                    available: stock.free(),
                }]));
            }
            Ok(on_hand)
        }
        Correction::Set(counted) if counted < stock.reserved => {
            Err(Error::Conflict("fewer were counted than are reserved"))
        }
        Correction::Set(counted) => Ok(counted),
    }
}

/// Writes a movement.
pub(crate) async fn record(
    transaction: &Transaction,
    caller: &Caller,
    product_id: ProductId,
    movement: Movement,
) -> Result<(), Error> {
    let row = stock_movements::ActiveModel {
        business_id: Set(caller.business_id),
        product_id: Set(product_id),
        id: Set(MovementId::new()),
        quantity: Set(movement.quantity),
        on_hand_after: Set(movement.on_hand_after),
        reason: Set(movement.reason),
        note: Set(movement.note),
        actor_id: Set(caller.user_id),
        ..Default::default()
    };
    stock_movements::Entity::insert(row)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

/// Reads a product's stock.
///
/// # Errors
/// [`Error::ProductNotFound`].
pub async fn read(
    database: &Database,
    caller: &Caller,
    id: ProductId,
) -> Result<inventory::Model, Error> {
    retry(|| async {
        let transaction = database.begin_read(caller.business_id).await?;
        let stock = inventory::Entity::of(caller.business_id)
            .filter(inventory::Column::ProductId.eq(id))
            .one(&transaction)
            .await?;
        transaction.commit().await?;
        stock.ok_or(Error::ProductNotFound(id))
    })
    .await
}

/// Lists stock by product.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    paging: &Paging<ProductId>,
) -> Result<Page<inventory::Model, ProductId>, Error> {
    let all = inventory::Entity::of(caller.business_id);
    let select = paging.rising(all, inventory::Column::ProductId);
    page::read(database, caller.business_id, select, paging, |stock| {
        stock.product_id
    })
    .await
}

/// Lists every change of a product's count, the newest first: corrections, and sales from the order lines that they are.
///
/// # Errors
/// [`Error::ProductNotFound`].
pub async fn movements(
    database: &Database,
    caller: &Caller,
    id: ProductId,
    paging: &Paging<Uuid>,
) -> Result<Page<StockChange, Uuid>, Error> {
    retry(|| async {
        let transaction = database.begin_read(caller.business_id).await?;
        inventory::Entity::of(caller.business_id)
            .filter(inventory::Column::ProductId.eq(id))
            .one(&transaction)
            .await?
            .ok_or(Error::ProductNotFound(id))?;
        let mut changes = corrections(&transaction, caller, id, paging).await?;
        changes.extend(sales(&transaction, caller, id, paging).await?);
        transaction.commit().await?;
        changes.sort_unstable_by_key(|change| std::cmp::Reverse(change.id));
        Ok(Page::of(changes, paging, |change| change.id))
    })
    .await
}

async fn corrections(
    transaction: &Transaction,
    caller: &Caller,
    id: ProductId,
    paging: &Paging<Uuid>,
) -> Result<Vec<StockChange>, Error> {
    let all = stock_movements::Entity::of(caller.business_id)
        .filter(stock_movements::Column::ProductId.eq(id));
    let select = paging.falling(all, stock_movements::Column::Id);
    let rows = select.all(transaction).await?;
    let changes = rows.into_iter().map(|row| StockChange {
        id: row.id.0,
        quantity: row.quantity,
        on_hand_after: row.on_hand_after,
        reason: Some(row.reason),
        note: row.note,
        reserved: row.reserved,
        order_id: row.order_id,
        reservation_id: row.reservation_id,
        actor_id: row.actor_id,
        created_at: row.created_at,
    });
    Ok(changes.collect())
}

async fn sales(
    transaction: &Transaction,
    caller: &Caller,
    id: ProductId,
    paging: &Paging<Uuid>,
) -> Result<Vec<StockChange>, Error> {
    let all = order_items::Entity::of(caller.business_id)
        .find_also_related(orders::Entity)
        .filter(order_items::Column::ProductId.eq(id));
    let select = paging.falling(all, order_items::Column::OrderId);
    let rows = select.all(transaction).await?;
    let changes = rows.into_iter().filter_map(|(item, order)| {
        let order = order?;
        Some(StockChange {
            id: order.id.0,
            quantity: -item.quantity,
            on_hand_after: item.on_hand_after,
            reason: None,
            note: None,
            reserved: 0,
            order_id: Some(order.id),
            reservation_id: None,
            actor_id: order.created_by,
            created_at: order.created_at,
        })
    });
    Ok(changes.collect())
}
