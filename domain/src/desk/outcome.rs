//! The outcomes of commands, before they are written.

use entity::OrderId;
use entity::reservations::Status;
use uuid::Uuid;

use super::command::Command;
use super::purchase::Receipt;
use crate::Error;
use crate::card::checkout::PlacedOrder;
use crate::foundation::idempotency::{NewRecord, Outcome, StoredResponse};
use crate::stock::reservations::CurrentReservation;

/// A command that was not refused and is to be written.
pub(super) struct Done<'a> {
    pub(super) command: &'a Command,
    pub(super) executed: Executed,
    pub(super) response: StoredResponse,
}

/// The effect of a command.
#[derive(Debug, Clone)]
pub enum Executed {
    /// An order on credit, from [`Work::Purchase`](super::Work::Purchase) or [`Work::Confirm`](super::Work::Confirm).
    Sold(Receipt),
    /// A card order, from [`Work::Checkout`](super::Work::Checkout) or
    /// [`Work::ConfirmByCard`](super::Work::ConfirmByCard).
    PlacedOrder(PlacedOrder),
    /// A new reservation, with its hold or its position in a waitlist.
    Reserved(CurrentReservation),
    /// A reservation that was cancelled, from [`Work::Cancel`](super::Work::Cancel).
    Cancelled {
        /// The reservation after the cancellation.
        current: CurrentReservation,
        /// The status before the cancellation.
        before: Status,
    },
}

impl Outcome<Executed> {
    /// The order that a card checkout has placed, now or when its idempotency key was first used.
    ///
    /// # Errors
    /// [`Error::Bug`] for a command that places no card order.
    pub fn placed_order(&self) -> Result<OrderId, Error> {
        let id = match self {
            Self::Done { value, .. } => match value {
                Executed::PlacedOrder(placed) => Some(placed.order_id),
                Executed::Sold(_) | Executed::Reserved(_) | Executed::Cancelled { .. } => None,
            },
            Self::Replayed(response) => Uuid::from_slice(response.bytes()).ok().map(OrderId),
        };
        id.ok_or_else(|| Error::Bug("no order by card was placed".into()))
    }
}

/// The stored response of a card order: the 16 bytes of its id.
pub(super) fn stored_order(id: OrderId) -> StoredResponse {
    StoredResponse::new(*id.0.as_bytes())
}

impl Done<'_> {
    /// The stored response to insert; `None` without an idempotency key.
    pub(super) fn record(&self) -> Option<NewRecord<'_>> {
        Some(NewRecord {
            caller_id: self.command.caller.user_id,
            key: self.command.key.as_ref()?,
            response: &self.response,
        })
    }

    pub(super) fn receipt(&self) -> Option<&Receipt> {
        match &self.executed {
            Executed::Sold(receipt) => Some(receipt),
            Executed::PlacedOrder(_) | Executed::Reserved(_) | Executed::Cancelled { .. } => None,
        }
    }
}
