//! The commands that the desk executes.

use std::sync::Arc;

use entity::{Currency, CustomerId, ProductId};
use uuid::Uuid;

use super::purchase::{Purchase, Receipt};
use super::queue::SharedRow;
use crate::Caller;
use crate::card::checkout::Terms;
use crate::foundation::idempotency::{IdempotencyKey, StoredResponse};
use crate::orders::OrderDetails;
use crate::stock::reservations::{CurrentReservation, NewReservation, ReservationRows};

/// One command for the desk, with its caller.
#[derive(Debug)]
pub struct Command {
    /// The user on whose behalf the command is executed, and the business it belongs to.
    pub caller: Caller,
    /// The operation, with its parameters.
    pub work: Work,
    /// `None` when a retry is a new command; otherwise a retry returns the original response.
    pub key: Option<IdempotencyKey>,
}

/// The operations of the desk. Each brings the function that renders its response. The function runs before the
/// commit, since the response to a request with an idempotency key commits with its effect.
///
/// A card order has no response at that time, since the provider has not been called. The order's id is stored
/// instead: see [`Outcome::placed_order`](crate::Outcome::placed_order).
#[derive(Debug)]
pub enum Work {
    /// Buys on credit.
    Purchase(Purchase, fn(&Receipt) -> StoredResponse),
    /// Holds stock, or takes a position in a waitlist.
    Reserve(
        NewReservation,
        fn(&CurrentReservation, Currency) -> StoredResponse,
    ),
    /// Buys held stock on credit.
    Confirm(Confirmation, fn(&Receipt) -> StoredResponse),
    /// Orders by card. The stock is held until the order is paid or expires.
    Checkout(Purchase, Terms),
    /// Orders held stock by card.
    ConfirmByCard(Confirmation, Terms),
    /// Releases a hold, or gives up a position in a waitlist.
    Cancel(
        ReservationRows,
        fn(&CurrentReservation, Currency) -> StoredResponse,
    ),
}

/// A reservation that becomes an order.
#[derive(Debug, Clone)]
pub struct Confirmation {
    /// The reservation.
    pub reservation: ReservationRows,
    /// The details of the order; `None` if the buyer gave none.
    pub details: Option<Arc<OrderDetails>>,
}

impl From<ReservationRows> for Confirmation {
    /// A confirmation without details.
    fn from(reservation: ReservationRows) -> Self {
        Self {
            reservation,
            details: None,
        }
    }
}

impl Work {
    /// The reservation that the command resolves; `None` if it resolves none.
    pub(super) fn reservation(&self) -> Option<&ReservationRows> {
        match self {
            Self::Confirm(confirmation, _) | Self::ConfirmByCard(confirmation, _) => {
                Some(&confirmation.reservation)
            }
            Self::Cancel(reservation, _) => Some(reservation),
            Self::Purchase(..) | Self::Reserve(..) | Self::Checkout(..) => None,
        }
    }
}

impl Command {
    /// The details of the order that the command places.
    pub(super) fn details(&self) -> Option<&Arc<OrderDetails>> {
        match &self.work {
            Work::Purchase(purchase, _) | Work::Checkout(purchase, _) => purchase.details.as_ref(),
            Work::Confirm(confirmation, _) | Work::ConfirmByCard(confirmation, _) => {
                confirmation.details.as_ref()
            }
            Work::Reserve(..) | Work::Cancel(..) => None,
        }
    }

    /// The customer whose row the command locks.
    pub(super) fn customer(&self) -> CustomerId {
        match &self.work {
            Work::Purchase(purchase, _) | Work::Checkout(purchase, ..) => purchase.customer_id,
            Work::Reserve(request, _) => request.customer_id,
            Work::Confirm(confirmation, _) | Work::ConfirmByCard(confirmation, _) => {
                confirmation.reservation.customer_id
            }
            Work::Cancel(target, _) => target.customer_id,
        }
    }

    /// The products whose rows the command locks, each with the most units that it may take out of stock on hand.
    pub(super) fn products(&self) -> impl Iterator<Item = (ProductId, i64)> {
        // The units of a card order stay on hand until the payment.
        let (lines, sells) = match &self.work {
            Work::Purchase(purchase, _) => (purchase.lines.as_slice(), true),
            Work::Checkout(purchase, _) => (purchase.lines.as_slice(), false),
            Work::Reserve(request, _) => (request.lines.as_slice(), false),
            Work::Confirm(..) => ([].as_slice(), true),
            Work::ConfirmByCard(..) | Work::Cancel(..) => ([].as_slice(), false),
        };
        let target = self.work.reservation();
        let lines = lines
            .iter()
            .map(|line| (line.product_id, line.quantity.get()));
        let items = target.into_iter().flat_map(|target| &target.items).copied();
        let taken = move |quantity| if sells { quantity } else { 0 };
        lines
            .chain(items)
            .map(move |(product, quantity)| (product, taken(quantity)))
    }

    /// The rows that no other command may use while this one is executed.
    pub(super) fn rows(&self) -> Box<[SharedRow]> {
        let products = self
            .products()
            .map(|(product, _)| SharedRow::Product(product));
        let key = self.key.iter();
        std::iter::once(SharedRow::Customer(self.customer()))
            .chain(products)
            .chain(key.map(|key| SharedRow::key(self.caller.user_id, &key.key)))
            .collect()
    }
}

/// Sorts ids and removes duplicates, so that one statement serves a batch of any size.
pub(super) fn distinct(ids: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
