//! Writes locked stock in one statement: reservations, holds, movements, audit entries and stored responses.
//!
//! Costs one statement more where orders have reduced reservations, and one where a product is off sale.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use entity::MovementId;
use entity::reservations::{CancelReason, Status};
use entity::stock_movements::Reason;
use entity::{BusinessId, EventId, Money, OrderId, ProductId, ReservationId, Tenant, reservations};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, FromQueryResult, QueryFilter};
use serde_json::json;

use super::{HoldChange, Item, LockedStock, Reservation, StockLevel};
use crate::audit::{Action, Actor, Change, Event, Written};
use crate::foundation::idempotency::NewRecord;
use crate::foundation::rows::{ArrayStatement, Columns, Insert, Row, count};
use crate::stock::new_movements::NewMovement;
use crate::{Error, Transaction};

/// A reservation to be inserted.
struct NewReservation<'a>(&'a Reservation);

impl Row for NewReservation<'_> {
    const NAME: &'static str = "new_reservation";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("id", |new| new.0.id);
        columns.column("customer_id", |new| new.0.customer_id);
        columns.column("status", |new| new.0.status);
        columns.column("ttl_seconds", |new| new.0.ttl_seconds);
        columns.column("expires_at", |new| new.0.expires_at);
        columns.column("created_by", |new| new.0.created_by);
        // A reservation that is made and used up in one batch is already an order.
        columns.nullable("order_id", |new| new.0.order_id);
        // The time after the locks, from which the duration of the hold counts.
        columns.column("created_at", |new| new.0.created_at);
    }
}

impl Insert for NewReservation<'_> {
    const TABLE: &'static str = "reservations";
}

/// An item to be inserted.
struct NewItem<'a> {
    reservation: &'a Reservation,
    /// The 0-based position of the item in the reservation.
    line: i32,
    item: &'a Item,
}

impl Row for NewItem<'_> {
    const NAME: &'static str = "new_reservation_item";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("reservation_id", |new| new.reservation.id);
        columns.column("product_id", |new| new.item.product_id);
        columns.column("line", |new| new.line);
        columns.column("quantity", |new| new.item.quantity);
        columns.column("unit_price", |new| -> Money { new.item.unit_price });
        columns.column("held", |new| new.item.held);
        columns.nullable("place", |new| new.item.place);
        columns.column("expires_at", |new| new.reservation.expires_at);
    }
}

impl Insert for NewItem<'_> {
    const TABLE: &'static str = "reservation_items";
}

/// The new state of an existing reservation.
struct Resolved<'a>(&'a Reservation);

impl Row for Resolved<'_> {
    const NAME: &'static str = "reservation_now";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("id", |now| now.0.id);
        columns.column("status", |now| -> Status { now.0.status });
        columns.column("expires_at", |now| now.0.expires_at);
        columns.nullable("order_id", |now| -> Option<OrderId> { now.0.order_id });
    }
}

/// The new state of an existing item.
struct Changed {
    reservation_id: ReservationId,
    product_id: ProductId,
    held: bool,
    place: Option<i64>,
    expires_at: DateTime<Utc>,
}

impl Row for Changed {
    const NAME: &'static str = "item_now";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("reservation_id", |now| now.reservation_id);
        columns.column("product_id", |now| now.product_id);
        columns.column("held", |now| now.held);
        columns.nullable("place", |now| now.place);
        columns.column("expires_at", |now| now.expires_at);
    }
}

/// The new counters of a product.
struct Counted<'a> {
    product_id: ProductId,
    level: &'a StockLevel,
}

impl Row for Counted<'_> {
    const NAME: &'static str = "stock_now";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("product_id", |now| now.product_id);
        columns.column("on_hand", |now| now.level.on_hand);
        columns.column("reserved", |now| now.level.reserved);
        columns.column("waiting", |now| now.level.waiting);
        columns.column("places_given", |now| now.level.places_given);
    }
}

/// Raw: one statement that writes seven tables, where SeaORM would take a round trip for each.
static WRITE: LazyLock<ArrayStatement> = LazyLock::new(|| {
    ArrayStatement::new(|arrays| {
        let reservations = arrays.insert::<NewReservation<'_>>();
        let items = arrays.insert::<NewItem<'_>>();
        let resolved = arrays.rows::<Resolved<'_>>();
        let changed = arrays.rows::<Changed>();
        let movements = arrays.insert::<NewMovement<'_>>();
        let stock = arrays.rows::<Counted<'_>>();
        let events = arrays.insert_returning::<Event<'_>>("transaction_id");
        let keys = arrays.insert::<NewRecord<'_>>();
        format!(
            "
WITH new_reservations AS ({reservations}),
     new_items AS ({items}),
     resolved AS (
    UPDATE reservations
       SET status = reservation_now.status, expires_at = reservation_now.expires_at,
           order_id = reservation_now.order_id, updated_at = now()
      FROM {resolved}
     WHERE reservations.business_id = $1 AND reservations.id = reservation_now.id
 RETURNING 1
), changed AS (
    UPDATE reservation_items
       SET held = item_now.held, place = item_now.place, expires_at = item_now.expires_at
      FROM {changed}
     WHERE reservation_items.business_id = $1 AND reservation_items.reservation_id = item_now.reservation_id
       AND reservation_items.product_id = item_now.product_id
 RETURNING 1
), moved AS ({movements}),
     counted AS (
    UPDATE inventory
       SET on_hand = stock_now.on_hand, reserved = stock_now.reserved, waiting = stock_now.waiting,
           places_given = stock_now.places_given, updated_at = now()
      FROM {stock}
     WHERE inventory.business_id = $1 AND inventory.product_id = stock_now.product_id
 RETURNING 1
), new_events AS ({events}),
     new_keys AS ({keys})
SELECT (SELECT count(*) FROM resolved) AS resolved, (SELECT count(*) FROM changed) AS changed,
       (SELECT count(*) FROM counted) AS counted, (SELECT max(transaction_id) FROM new_events) AS transaction_id"
        )
    })
});

/// The result of [`WRITE`]: the numbers of updated rows, and the transaction's number if audit entries were written.
#[derive(FromQueryResult)]
struct Updated {
    resolved: i64,
    changed: i64,
    counted: i64,
    transaction_id: Option<i64>,
}

/// Writes the changes of the locked stock, the audit entries and the stored responses. Returns one of the audit
/// entries, if there are any.
///
/// The caller must write the units on hand of products whose holds and waitlist are unchanged.
pub(crate) async fn write(
    transaction: &Transaction,
    business: BusinessId,
    locked_stock: &LockedStock,
    mut events: Vec<Event<'_>>,
    keys: Vec<NewRecord<'_>>,
) -> Result<Option<Written>, Error> {
    if !locked_stock.is_changed() && events.is_empty() && keys.is_empty() {
        return Ok(None);
    }
    events.extend(locked_stock.own_events(business));
    let (new, known): (Vec<&Reservation>, Vec<&Reservation>) = locked_stock
        .changes
        .reservations
        .iter()
        .filter_map(|id| locked_stock.reservations.get(id))
        .partition(|reservation| reservation.is_new);
    let changed = changed_items(locked_stock, &known);
    let counts: Vec<Counted<'_>> = locked_stock
        .changes
        .products
        .iter()
        .filter_map(|id| {
            Some(Counted {
                product_id: *id,
                level: locked_stock.counts.get(id)?,
            })
        })
        .collect();
    reduce(transaction, business, locked_stock).await?;

    let items: Vec<NewItem<'_>> = new
        .iter()
        .flat_map(|reservation| {
            let numbered = (0_i32..).zip(&reservation.items);
            numbered.map(move |(line, item)| NewItem {
                reservation,
                line,
                item,
            })
        })
        .collect();
    let new: Vec<NewReservation<'_>> = new.into_iter().map(NewReservation).collect();
    let resolved: Vec<Resolved<'_>> = known.into_iter().map(Resolved).collect();
    let movements = locked_stock.changes.movements.iter();
    let movements: Vec<NewMovement<'_>> = movements.map(NewMovement::from).collect();
    let keys = NewRecord::in_order(keys);
    let statement = WRITE
        .of(business)
        .rows(&new)
        .rows(&items)
        .rows(&resolved)
        .rows(&changed)
        .rows(&movements)
        .rows(&counts)
        .rows(&events)
        .rows(&keys)
        .statement()?;
    let updated = Updated::find_by_statement(statement)
        .one(transaction)
        .await?
        .ok_or_else(|| Error::Bug("the statement of the locked stock returned nothing".into()))?;
    // The rows were locked before; a missing one would be stock that no reservation holds.
    let written = [updated.resolved, updated.changed, updated.counted];
    let due = [resolved.len(), changed.len(), counts.len()].map(count);
    if written != due {
        return Err(Error::Bug(format!(
            "{due:?} reservations, items and counts have changed, {written:?} were updated"
        )));
    }
    note_off_sale(transaction, business, locked_stock).await?;
    let entry = events.first().zip(updated.transaction_id);
    Ok(entry.map(|(event, transaction_id)| Written {
        transaction_id,
        event_id: event.id,
    }))
}

/// The units of an item that an order has left.
struct Left {
    reservation_id: ReservationId,
    product_id: ProductId,
    quantity: i64,
}

impl Row for Left {
    const NAME: &'static str = "item_left";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("reservation_id", |left| left.reservation_id);
        columns.column("product_id", |left| left.product_id);
        columns.column("quantity", |left| left.quantity);
    }
}

/// Deletes items with nothing left and reduces the others: an item is what its reservation holds or waits for.
///
/// Raw: one statement that deletes and updates.
static REDUCE: LazyLock<ArrayStatement> = LazyLock::new(|| {
    ArrayStatement::new(|arrays| {
        let left = arrays.rows::<Left>();
        format!(
            "
WITH gone AS (
    DELETE FROM reservation_items USING {left}
     WHERE reservation_items.business_id = $1 AND reservation_items.reservation_id = item_left.reservation_id
       AND reservation_items.product_id = item_left.product_id AND item_left.quantity = 0
 RETURNING 1
)
UPDATE reservation_items SET quantity = item_left.quantity
  FROM {left}
 WHERE reservation_items.business_id = $1 AND reservation_items.reservation_id = item_left.reservation_id
   AND reservation_items.product_id = item_left.product_id AND item_left.quantity > 0"
        )
    })
});

/// Writes the reductions of existing reservations. New ones are inserted in their final state.
async fn reduce(
    transaction: &Transaction,
    business: BusinessId,
    locked_stock: &LockedStock,
) -> Result<(), Error> {
    let is_known = |id: &ReservationId| {
        locked_stock
            .reservations
            .get(id)
            .is_some_and(|one| !one.is_new)
    };
    let reductions = locked_stock.changes.reductions.iter();
    // The last reduction of each item.
    let left: BTreeMap<(ReservationId, ProductId), i64> = reductions
        .filter(|one| is_known(&one.part.reservation_id))
        .map(|one| ((one.part.reservation_id, one.part.product_id), one.left))
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    let left: Vec<Left> = left
        .into_iter()
        .map(|((reservation_id, product_id), quantity)| Left {
            reservation_id,
            product_id,
            quantity,
        })
        .collect();
    let statement = REDUCE.of(business).rows(&left).statement()?;
    transaction.execute_raw(statement).await?;
    Ok(())
}

/// Writes the reason for positions that were cancelled because their product is off sale.
async fn note_off_sale(
    transaction: &Transaction,
    business: BusinessId,
    locked_stock: &LockedStock,
) -> Result<(), Error> {
    use reservations::Column;

    let ended = &locked_stock.changes.off_sale;
    if ended.is_empty() {
        return Ok(());
    }
    reservations::Entity::update_of(business)
        .filter(Column::Id.eq_any(ended.iter().copied()))
        .col_expr(
            Column::CancelReason,
            Expr::value(CancelReason::ProductInactive),
        )
        .exec(transaction)
        .await?;
    Ok(())
}

fn changed_items(locked_stock: &LockedStock, known: &[&Reservation]) -> Vec<Changed> {
    // Each item once: an expired item may belong to a known reservation too.
    let mut changed = BTreeMap::new();
    for (reservation, product, expires_at) in &locked_stock.changes.expired {
        let item = Changed {
            reservation_id: *reservation,
            product_id: *product,
            held: false,
            place: None,
            expires_at: *expires_at,
        };
        changed.insert((*reservation, *product), item);
    }
    for reservation in known {
        // An order may reduce a reservation whose other products are not locked. Those items must not be written.
        let is_locked = |item: &&Item| locked_stock.counts.contains_key(&item.product_id);
        for item in reservation.items.iter().filter(is_locked) {
            let now_is = Changed {
                reservation_id: reservation.id,
                product_id: item.product_id,
                held: item.held,
                place: item.place,
                expires_at: reservation.expires_at,
            };
            changed.insert((reservation.id, item.product_id), now_is);
        }
    }
    changed.into_values().collect()
}

impl LockedStock {
    /// The audit entries of changes that no user requested.
    fn own_events<'a>(&self, business: BusinessId) -> Vec<Event<'a>> {
        let actor = Actor::system(business);
        let allocated = self.changes.allocated.iter().map(|id| Change {
            action: Action::ReservationServed,
            entity_type: "reservation",
            entity_id: id.0,
            before: Some(json!({ "status": "waiting" })),
            after: json!({
                "status": "active",
                "expires_at": self.reservations.get(id).map(|one| one.expires_at),
            }),
        });
        let sold_out = self.changes.sold_out.iter().map(|(id, count)| Change {
            action: Action::InventorySoldOut,
            entity_type: "inventory",
            entity_id: id.0,
            before: None,
            after: json!({ "turned_away": count }),
        });
        let off_sale = self.changes.off_sale.iter().map(|id| Change {
            action: Action::ReservationCancelled,
            entity_type: "reservation",
            entity_id: id.0,
            before: Some(json!({ "status": "waiting" })),
            after: json!({ "status": "cancelled", "cancel_reason": "product_inactive" }),
        });
        let reduced = self.changes.reductions.iter().map(|one| Change {
            action: Action::ReservationReduced,
            entity_type: "reservation",
            entity_id: one.part.reservation_id.0,
            before: Some(json!({
                "product_id": one.part.product_id,
                "quantity": one.left + one.part.quantity,
            })),
            after: json!({
                "product_id": one.part.product_id,
                "quantity": one.left,
                "order_id": one.order_id,
            }),
        });
        allocated
            .chain(sold_out)
            .chain(off_sale)
            .chain(reduced)
            .map(|change| Event {
                id: EventId::new(),
                actor,
                change,
            })
            .collect()
    }
}

impl From<&HoldChange> for NewMovement<'_> {
    fn from(hold: &HoldChange) -> Self {
        let reason = match hold.reserved {
            1.. => Reason::Reserved,
            _ => Reason::Released,
        };
        Self {
            id: MovementId::new(),
            product_id: hold.product_id,
            quantity: 0,
            on_hand_after: hold.on_hand_after,
            reason,
            note: None,
            reserved: hold.reserved,
            reservation_id: Some(hold.reservation_id),
            order_id: hold.order_id,
            actor: hold.actor,
        }
    }
}
