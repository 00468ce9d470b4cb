//! What came of a command, and is to be written.

use entity::OrderId;
use entity::reservations::Status;
use sea_orm::Value;
use uuid::Uuid;

use super::command::Command;
use super::purchase::Receipt;
use crate::card::checkout::{PlacedOrder, Terms};
use crate::foundation::idempotency::Answer;
use crate::orders::SoldLine;
use crate::stock::locked_stock::each;
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

/// The lines of orders, each with its order and its place there.
pub(super) fn items<'a>(
    orders: impl Iterator<Item = (OrderId, &'a Vec<SoldLine>)>,
) -> Vec<(Uuid, i32, &'a SoldLine)> {
    orders
        .flat_map(|(order, lines)| {
            let numbered = (0_i32..).zip(lines);
            numbered.map(move |(number, line)| (order.0, number, line))
        })
        .collect()
}

/// `$7` to `$14`.
pub(super) fn item_values(items: &[(Uuid, i32, &SoldLine)]) -> [Value; 8] {
    [
        each(items, |(order_id, ..)| *order_id),
        each(items, |(_, _, line)| line.product_id.0),
        each(items, |(_, number, _)| *number),
        each(items, |(_, _, line)| line.sku.to_string()),
        each(items, |(_, _, line)| line.name.to_string()),
        each(items, |(_, _, line)| line.quantity),
        each(items, |(_, _, line)| line.unit_price.decimal()),
        each(items, |(_, _, line)| line.line_total.decimal()),
    ]
}
