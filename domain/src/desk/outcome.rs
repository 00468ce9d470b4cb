//! What came of a command, and is to be written.

use entity::reservations::Status;

use super::command::Command;
use super::purchase::Receipt;
use crate::card::checkout::{PlacedOrder, Terms};
use crate::foundation::idempotency::Answer;
use crate::stock::reservations::CurrentReservation;

/// A command that was decided in its favour and is to be written.
pub(super) struct Done<'a> {
    pub(super) command: &'a Command,
    pub(super) outcome: Outcome,
    pub(super) answer: Answer,
}

/// What came of a command.
pub(super) enum Outcome {
    /// An order on credit.
    Sold(Receipt),
    /// An order by card.
    PlacedOrder(PlacedOrder, Terms),
    /// A reservation.
    Reserved(CurrentReservation),
    /// A reservation less, which was that before.
    Cancelled {
        found: CurrentReservation,
        before: Status,
    },
}

impl Done<'_> {
    pub(super) fn receipt(&self) -> Option<&Receipt> {
        match &self.outcome {
            Outcome::Sold(receipt) => Some(receipt),
            Outcome::PlacedOrder(..) | Outcome::Reserved(_) | Outcome::Cancelled { .. } => None,
        }
    }
}
