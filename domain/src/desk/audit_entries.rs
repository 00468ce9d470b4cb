//! The audit entries of reservations and of card orders. Those of orders on credit are written with the orders
//! (`write.rs`).

use entity::reservations::Status;
use entity::{EventId, OrderId, orders};
use serde_json::{Value, json};

use super::command::{Command, Work};
use super::outcome::{Done, Executed};
use crate::audit::{Action, Change, Event};
use crate::card::checkout::PlacedOrder;
use crate::stock::locked_stock::{LockedStock, Reservation};

/// The audit entries of all reservations and card orders of a batch.
pub(super) fn events<'a>(done: &'a [Done<'_>], locked_stock: &LockedStock) -> Vec<Event<'a>> {
    let mut events = Vec::new();
    for one in done {
        match &one.executed {
            Executed::Sold(receipt) => {
                events.extend(confirmed(one, locked_stock, receipt.order_id))
            }
            Executed::PlacedOrder(placed) => {
                events.push(event(one, order(one.command, placed)));
                events.extend(confirmed(one, locked_stock, placed.order_id));
            }
            Executed::Reserved(current) => {
                events.push(event(one, change(&current.reservation)));
            }
            Executed::Cancelled { current, before } => {
                let change = Change {
                    action: Action::ReservationCancelled,
                    before: Some(json!({ "status": before })),
                    ..change(&current.reservation)
                };
                events.push(event(one, change));
            }
        }
    }
    events
}

/// The reservations that became this order.
fn confirmed<'a>(done: &'a Done<'_>, locked_stock: &LockedStock, order: OrderId) -> Vec<Event<'a>> {
    // A reservation that is created together with its order was never active, so it gets no entry of its own.
    let made = match (&done.command.work, &done.executed) {
        (Work::Checkout(..), Executed::PlacedOrder(placed)) => Some(placed.reservation_id),
        _ => None,
    };
    let became = |reservation: &&Reservation| {
        reservation.status == Status::Confirmed
            && reservation.order_id == Some(order)
            && Some(reservation.id) != made
    };
    let confirmed = locked_stock.reservations.values().filter(became);
    let events = confirmed.map(|reservation| {
        let change = Change {
            action: Action::ReservationConfirmed,
            before: Some(json!({ "status": Status::Active })),
            ..change(reservation)
        };
        event(done, change)
    });
    events.collect()
}

fn order(command: &Command, placed: &PlacedOrder) -> Change {
    let mut after = json!({
        "status": orders::Status::Created,
        "customer_id": placed.customer_id,
        "total_amount": placed.total.to_text(placed.currency),
        "reservation_id": placed.reservation_id,
        "expires_at": placed.expires_at,
    });
    if let Some(details) = command.details() {
        details.add_to(&mut after);
    }
    Change {
        action: Action::OrderCreated,
        entity_type: "order",
        entity_id: placed.order_id.0,
        before: None,
        after,
    }
}

fn event<'a>(done: &'a Done<'_>, change: Change) -> Event<'a> {
    Event {
        id: EventId::new(),
        actor: (&done.command.caller).into(),
        change,
    }
}

fn change(reservation: &Reservation) -> Change {
    let items: Vec<Value> = reservation
        .items
        .iter()
        .map(|item| json!({ "product_id": item.product_id, "quantity": item.quantity }))
        .collect();
    Change {
        action: Action::ReservationCreated,
        entity_type: "reservation",
        entity_id: reservation.id.0,
        before: None,
        after: json!({
            "status": reservation.status,
            "customer_id": reservation.customer_id,
            "expires_at": reservation.expires_at,
            "order_id": reservation.order_id,
            "items": items,
        }),
    }
}
