//! The commands that the desk executes.

use entity::{Currency, CustomerId, ProductId};
use uuid::Uuid;

use super::purchase::{Purchase, Receipt};
use super::queue::SharedRow;
use crate::Caller;
use crate::card::checkout::Terms;
use crate::foundation::idempotency::{IdempotencyKey, StoredResponse};
use crate::stock::reservations::{CurrentReservation, LockedIds, NewReservation};

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
    Confirm(LockedIds, fn(&Receipt) -> StoredResponse),
    /// Orders by card. The stock is held until the order is paid or expires.
    Checkout(Purchase, Terms),
    /// Orders held stock by card.
    ConfirmByCard(LockedIds, Terms),
    /// Releases a hold, or gives up a position in a waitlist.
    Cancel(
        LockedIds,
        fn(&CurrentReservation, Currency) -> StoredResponse,
    ),
}

impl Command {
    /// The customer whose row the command locks.
    pub(super) fn customer(&self) -> CustomerId {
        match &self.work {
            Work::Purchase(purchase, _) | Work::Checkout(purchase, ..) => purchase.customer_id,
            Work::Reserve(request, _) => request.customer_id,
            Work::Confirm(target, _)
            | Work::ConfirmByCard(target, ..)
            | Work::Cancel(target, _) => target.customer_id,
        }
    }

    /// The products whose rows the command locks, each with the most units that it may take out of stock on hand.
    pub(super) fn products(&self) -> impl Iterator<Item = (ProductId, i64)> {
        let (lines, target, sells) = match &self.work {
            Work::Purchase(purchase, _) => (purchase.lines.as_slice(), None, true),
            Work::Reserve(request, _) => (request.lines.as_slice(), None, false),
            Work::Confirm(target, _) => ([].as_slice(), Some(target), true),
            // The units of a card order stay on hand until the payment.
            Work::Checkout(purchase, ..) => (purchase.lines.as_slice(), None, false),
            Work::ConfirmByCard(target, ..) | Work::Cancel(target, _) => {
                ([].as_slice(), Some(target), false)
            }
        };
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
