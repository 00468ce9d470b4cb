//! The audit trail of reservations. That of orders is written with them.

use entity::EventId;
use entity::reservations::Status;
use serde_json::{Value, json};

use super::write::{Done, Outcome};
use crate::audit::Change;
use crate::shelf::{Event, Reservation, Shelf};

/// What callers have done to reservations.
pub(super) fn events<'a>(done: &'a [Done<'_>], shelf: &Shelf) -> Vec<Event<'a>> {
    let mut events = Vec::new();
    for one in done {
        match &one.outcome {
            Outcome::Sold(receipt) => {
                let became = |reservation: &&Reservation| {
                    reservation.status == Status::Confirmed
                        && reservation.order_id == Some(receipt.order_id)
                };
                let confirmed = shelf.reservations.values().filter(became);
                events.extend(confirmed.map(|reservation| {
                    let change = Change {
                        action: "reservation.confirmed",
                        before: Some(json!({ "status": Status::Active })),
                        ..change(reservation)
                    };
                    event(one, change)
                }));
            }
            Outcome::Reserved(found) => {
                events.push(event(one, change(&found.reservation)));
            }
            Outcome::Cancelled { found, before } => {
                let change = Change {
                    action: "reservation.cancelled",
                    before: Some(json!({ "status": before })),
                    ..change(&found.reservation)
                };
                events.push(event(one, change));
            }
        }
    }
    events
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
        action: "reservation.created",
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
