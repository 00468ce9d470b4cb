//! Inventory: reading stock, correcting it, and the list of every change.

mod imports;
pub(crate) mod level;
mod receipts;
pub(crate) mod returns;
mod write;

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use entity::stock_movements::Reason;
use entity::{
    BusinessId, MovementId, OrderId, ProductId, ReservationId, Tenant, UserId, held_stock,
    inventory, order_items, orders, products, stock_movements,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter, QuerySelect};
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, Action, Change};
use crate::foundation::retry::retry;
use crate::foundation::rows::ArrayStatement;
use crate::stock::locked_stock::{self, Range, StockLevel};
use crate::stock::new_movements;
use crate::{Caller, Database, Error, Page, Paging, Shortage, Transaction};

pub use imports::{Mode, StockRow, import};
pub use receipts::{Line, receive};
pub use write::Moved;
pub(crate) use write::write;

/// The kind of a correction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// Adds these units to the count; negative to subtract.
    Adjust(i64),
    /// Sets the count to the units that were counted.
    Set(i64),
}

/// One change of a product's stock: a sale, a correction, or a hold.
#[derive(Debug, Clone)]
pub struct StockChange {
    /// The movement's id, or that of the order on credit whose line is the movement.
    pub id: Uuid,
    /// Units added to the stock on hand; negative when units left, 0 for a hold.
    pub quantity: i64,
    /// Units on hand after the change.
    pub on_hand_after: i64,
    /// `None` for a sale on credit.
    pub reason: Option<Reason>,
    /// The note of a correction, if it has one.
    pub note: Option<String>,
    /// Units added to the reserved stock; negative when a hold ended.
    pub reserved: i64,
    /// The order of a sale or a return, or the order that a reservation became.
    pub order_id: Option<OrderId>,
    /// The reservation whose stock was held or released.
    pub reservation_id: Option<ReservationId>,
    /// The user who made the change; the system's id when an expiry did.
    pub actor_id: UserId,
    /// The database's time of the change.
    pub created_at: DateTime<Utc>,
}

/// The stock of a product in a list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The stock, expired holds excluded.
    pub stock: inventory::Model,
    /// The SKU of the product.
    pub sku: String,
    /// The name of the product.
    pub name: String,
}

/// A requested correction.
#[derive(Debug, Clone)]
pub struct NewCorrection {
    /// The change of the count.
    pub correction: Correction,
    /// The reason that the movement records.
    pub reason: Reason,
    /// A free text for the movement.
    pub note: Option<String>,
}

/// A movement to be written.
pub(crate) struct NewMovement {
    pub(crate) quantity: i64,
    pub(crate) on_hand_after: i64,
    pub(crate) reason: Reason,
    pub(crate) note: Option<String>,
}

/// Corrects the count of a product. Locks its inventory row.
///
/// # Errors
/// [`Error::ProductNotFound`]; [`Error::InsufficientStock`] when more than the unreserved stock would leave;
/// [`Error::CountedBelowReserved`]; [`Error::StockLimitExceeded`].
pub async fn correct(
    database: &Database,
    caller: &Caller,
    id: ProductId,
    new: &NewCorrection,
) -> Result<inventory::Model, Error> {
    let (reason, note) = (new.reason, &new.note);
    let range = match new.correction {
        Correction::Adjust(by) => Range::of(by),
        Correction::Set(counted) => Range {
            taken: i64::MAX,
            returned: counted,
        },
    };
    retry(|| async {
        let business = caller.business_id;
        let transaction = database.begin(business).await?;
        let mut locked_stock = locked_stock::lock(&transaction, business, [(id, range)]).await?;
        let stock = locked_stock
            .counts
            .get(&id)
            .ok_or(Error::ProductNotFound(id))?;
        let (before, on_hand) = (stock.on_hand, corrected(id, stock, new.correction)?);
        let movement = NewMovement {
            quantity: on_hand - before,
            on_hand_after: on_hand,
            reason,
            note: note.clone(),
        };
        let moved = write(
            &transaction,
            caller.into(),
            None,
            &mut locked_stock,
            vec![(id, movement)],
        )
        .await?;
        let events = moved.iter().map(|moved| correction_event(before, moved));
        audit::record_all(&transaction, caller.into(), events).await?;
        let stock = inventory::Entity::by_id(business, id)
            .one(&transaction)
            .await?
            .ok_or(Error::ProductNotFound(id))?;
        transaction.commit().await?;
        Ok(stock)
    })
    .await
}

/// The audit entry of a correction.
fn correction_event(before: i64, moved: &Moved) -> Change {
    let change = &moved.change;
    Change {
        action: Action::InventoryCorrected,
        entity_type: "inventory",
        entity_id: moved.product_id.0,
        before: Some(json!({ "on_hand": before })),
        after: json!({
            "on_hand": change.on_hand_after,
            "reason": change.reason,
            "note": change.note,
        }),
    }
}

/// The count after the correction. Reserved units must stay on hand.
fn corrected(id: ProductId, stock: &StockLevel, correction: Correction) -> Result<i64, Error> {
    match correction {
        Correction::Adjust(by) => {
            let on_hand = after(id, stock.on_hand, by)?;
            if on_hand < stock.reserved {
                return Err(Error::InsufficientStock(vec![Shortage {
                    product_id: id,
                    requested: -by,
                    available: stock.unreserved(),
                }]));
            }
            Ok(on_hand)
        }
        Correction::Set(counted) if counted < stock.reserved => Err(Error::CountedBelowReserved {
            product_id: id,
            on_hand: stock.on_hand,
            reserved: stock.reserved,
            counted,
        }),
        Correction::Set(counted) => Ok(counted),
    }
}

/// The count after a change by `change` units, with the upper limit checked.
fn after(product_id: ProductId, on_hand: i64, change: i64) -> Result<i64, Error> {
    let count = on_hand.saturating_add(change);
    if change > 0 && count > inventory::MAX_ON_HAND {
        return Err(Error::StockLimitExceeded {
            product_id,
            on_hand: count,
        });
    }
    Ok(count)
}

static RECORD: LazyLock<ArrayStatement> = LazyLock::new(|| {
    ArrayStatement::new(|arrays| arrays.insert::<new_movements::NewMovement<'_>>())
});

/// Writes a movement without changing the inventory row.
pub(crate) async fn record(
    transaction: &Transaction,
    caller: &Caller,
    product_id: ProductId,
    movement: NewMovement,
) -> Result<(), Error> {
    record_all(transaction, caller, [(product_id, movement)]).await
}

/// Writes movements with one statement, without changing the inventory rows.
pub(crate) async fn record_all(
    transaction: &Transaction,
    caller: &Caller,
    movements: impl IntoIterator<Item = (ProductId, NewMovement)>,
) -> Result<(), Error> {
    let movements: Vec<(ProductId, NewMovement)> = movements.into_iter().collect();
    let rows = movements.iter();
    let rows = rows.map(|(product_id, movement)| new_movements::NewMovement {
        id: MovementId::new(),
        product_id: *product_id,
        quantity: movement.quantity,
        on_hand_after: movement.on_hand_after,
        reason: movement.reason,
        note: movement.note.as_deref(),
        reserved: 0,
        reservation_id: None,
        order_id: None,
        actor: caller.user_id,
    });
    let rows: Vec<new_movements::NewMovement<'_>> = rows.collect();
    let statement = RECORD.of(caller.business_id).rows(&rows).statement()?;
    transaction.execute_raw(statement).await?;
    Ok(())
}

/// Reads a product's stock, expired holds excluded.
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
        let stock = inventory::Entity::by_id(caller.business_id, id)
            .one(&transaction)
            .await?;
        let mut stock = stock.ok_or(Error::ProductNotFound(id))?;
        without_expired(&transaction, caller.business_id, [&mut stock]).await?;
        transaction.commit().await?;
        Ok(stock)
    })
    .await
}

/// Filters products of which less is available than `$1`. Raw: the figure is the one text of `level.rs`. It uses no index: an index on availability would have to be
/// written by every sale. A scan of 100,000 products takes some tens of milliseconds.
const BELOW: &str = concat!(
    "
(inventory.on_hand - inventory.reserved < $1 OR inventory.waiting > 0)
AND (inventory.reserved = 0 AND inventory.waiting = 0
     OR (SELECT level.available
           FROM (SELECT inventory.*) AS i",
    level::stock_level!(),
    ") < $1)"
);

/// Lists stock by product id: all products, or those of which less than `below` is available.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    below: Option<i64>,
    paging: &Paging<ProductId>,
) -> Result<Page<Listed, ProductId>, Error> {
    retry(|| async {
        let transaction = database.begin_read(caller.business_id).await?;
        let mut select = inventory::Entity::of(caller.business_id);
        if let Some(most) = below {
            select = select.filter(Expr::cust_with_values(BELOW, [most]));
        }
        let select = paging.ascending(select, inventory::Column::ProductId);
        let mut rows = select.all(&transaction).await?;
        without_expired(&transaction, caller.business_id, &mut rows).await?;
        let page = Page::of(rows, paging, |stock| stock.product_id);
        let products = page.rows.iter().map(|stock| stock.product_id);
        let mut labels = labels(&transaction, caller.business_id, products).await?;
        transaction.commit().await?;
        let rows = page.rows.into_iter().map(|stock| {
            let (sku, name) = labels.remove(&stock.product_id).unwrap_or_default();
            Listed { stock, sku, name }
        });
        Ok(Page {
            rows: rows.collect(),
            next: page.next,
        })
    })
    .await
}

/// The SKUs and names of these products. Costs one statement.
async fn labels(
    transaction: &Transaction,
    business: BusinessId,
    products: impl Iterator<Item = ProductId>,
) -> Result<HashMap<ProductId, (String, String)>, Error> {
    use products::Column;

    let labels: Vec<(ProductId, String, String)> = products::Entity::of(business)
        .select_only()
        .columns([Column::Id, Column::Sku, Column::Name])
        .filter(Column::Id.eq_any(products.collect::<Vec<_>>()))
        .into_tuple()
        .all(transaction)
        .await?;
    let labels = labels.into_iter();
    Ok(labels.map(|(id, sku, name)| (id, (sku, name))).collect())
}

/// Subtracts expired holds and positions that are still counted in these rows. Only for output; the rows must not be
/// written. Costs one query if any row has a hold or a waitlist.
pub(crate) async fn without_expired<'a>(
    transaction: &Transaction,
    business: BusinessId,
    rows: impl IntoIterator<Item = &'a mut inventory::Model>,
) -> Result<(), Error> {
    let mut rows: Vec<&mut inventory::Model> = rows
        .into_iter()
        .filter(|row| row.reserved > 0 || row.waiting > 0)
        .collect();
    let products = rows.iter().map(|row| row.product_id);
    let held = held(transaction, business, products.collect::<Vec<_>>()).await?;
    for row in &mut rows {
        if let Some(held) = held.get(&row.product_id) {
            row.reserved -= held.reserved - held.held;
            row.waiting -= held.places - held.waiting;
        }
    }
    Ok(())
}

/// Reads the current holds and waitlists of these products.
pub(crate) async fn held(
    transaction: &Transaction,
    business: BusinessId,
    products: impl IntoIterator<Item = ProductId>,
) -> Result<HashMap<ProductId, held_stock::Model>, Error> {
    let products: Vec<ProductId> = products.into_iter().collect();
    if products.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = held_stock::Entity::of(business)
        .filter(held_stock::Column::ProductId.eq_any(products))
        .all(transaction)
        .await?;
    Ok(rows.into_iter().map(|row| (row.product_id, row)).collect())
}

/// Lists every change of a product's stock, newest first. Corrections, holds and card sales are movements; sales on
/// credit come from their order lines.
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
        inventory::Entity::by_id(caller.business_id, id)
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
    let select = paging.descending(all, stock_movements::Column::Id);
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
        .filter(order_items::Column::ProductId.eq(id))
        // A card order takes its units out of stock on hand with a movement of its own.
        .filter(order_items::Column::OnHandAfter.is_not_null());
    let select = paging.descending(all, order_items::Column::OrderId);
    let rows = select.all(transaction).await?;
    let changes = rows.into_iter().filter_map(|(item, order)| {
        let order = order?;
        Some(StockChange {
            id: order.id.0,
            quantity: -item.quantity,
            on_hand_after: item.on_hand_after?,
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
