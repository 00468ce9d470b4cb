//! What came of a command, and is to be written.

use entity::OrderId;
use entity::reservations::Status;
use uuid::Uuid;

use super::command::Command;
use super::purchase::Receipt;
use crate::Error;
use crate::card::checkout::PlacedOrder;
use crate::foundation::idempotency::{Outcome, StoredResponse};
use crate::stock::reservations::CurrentReservation;

/// A command that was decided in its favour and is to be written.
pub(super) struct Done<'a> {
    pub(super) command: &'a Command,
    pub(super) executed: Executed,
    pub(super) response: StoredResponse,
}

/// What came of a command.
#[derive(Debug, Clone)]
pub enum Executed {
    /// An order on credit: of [`Work::Purchase`](super::Work::Purchase) and [`Work::Confirm`](super::Work::Confirm).
    Sold(Receipt),
    /// An order by card: of [`Work::Checkout`](super::Work::Checkout) and
    /// [`Work::ConfirmByCard`](super::Work::ConfirmByCard).
    PlacedOrder(PlacedOrder),
    /// A reservation.
    Reserved(CurrentReservation),
    /// A reservation less.
    Cancelled {
        /// As it is now.
        found: CurrentReservation,
        /// What it was before.
        before: Status,
    },
}

impl Outcome<Executed> {
    /// The order that a command to order by card has placed, now or when its key was first used.
    ///
    /// # Errors
    /// [`Error::Bug`] for another command.
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

/// What is stored of an order by card.
pub(super) fn stored_order(id: OrderId) -> StoredResponse {
    StoredResponse::new(*id.0.as_bytes())
}

impl Done<'_> {
    pub(super) fn receipt(&self) -> Option<&Receipt> {
        match &self.executed {
            Executed::Sold(receipt) => Some(receipt),
            Executed::PlacedOrder(_) | Executed::Reserved(_) | Executed::Cancelled { .. } => None,
        }
    }
}
