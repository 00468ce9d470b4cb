//! What can be asked of the desk.

use entity::{Currency, CustomerId, ProductId};
use uuid::Uuid;

use super::purchase::{Purchase, Receipt};
use super::queue::Row;
use crate::Caller;
use crate::card::checkout::Terms;
use crate::foundation::idempotency::{IdempotencyKey, StoredResponse};
use crate::stock::reservations::{CurrentReservation, LockedIds, NewReservation};

/// Something that is asked of the desk.
#[derive(Debug)]
pub struct Command {
    /// In whose name.
    pub caller: Caller,
    /// What is asked for.
    pub work: Work,
    /// Present when a retry must get the original response.
    pub key: Option<IdempotencyKey>,
}

/// What can be asked for. Each brings the function that renders what comes of it: it is called before the commit, since the
/// response to a request with a key commits with its effect. Of an order by card there is nothing to be rendered yet, since
/// the provider has not been asked: the order's id is stored, see [`Outcome::placed_order`](crate::Outcome::placed_order).
#[derive(Debug)]
pub enum Work {
    /// Buying on credit.
    Purchase(Purchase, fn(&Receipt) -> StoredResponse),
    /// Holding stock, or waiting for some.
    Reserve(
        NewReservation,
        fn(&CurrentReservation, Currency) -> StoredResponse,
    ),
    /// Buying on credit what is held.
    Confirm(LockedIds, fn(&Receipt) -> StoredResponse),
    /// Ordering by card: the stock is held until it is paid for.
    Checkout(Purchase, Terms),
    /// Ordering by card what is held.
    ConfirmByCard(LockedIds, Terms),
    /// Giving up what is held, or a place in line.
    Cancel(
        LockedIds,
        fn(&CurrentReservation, Currency) -> StoredResponse,
    ),
}

impl Command {
    /// Whom it is about.
    pub(super) fn customer(&self) -> CustomerId {
        match &self.work {
            Work::Purchase(purchase, _) | Work::Checkout(purchase, ..) => purchase.customer_id,
            Work::Reserve(wish, _) => wish.customer_id,
            Work::Confirm(target, _)
            | Work::ConfirmByCard(target, ..)
            | Work::Cancel(target, _) => target.customer_id,
        }
    }

    /// Which stock it is about, with how many at most it may take from the shelf.
    pub(super) fn products(&self) -> impl Iterator<Item = (ProductId, i64)> {
        let (lines, target, sells) = match &self.work {
            Work::Purchase(purchase, _) => (purchase.lines.as_slice(), None, true),
            Work::Reserve(wish, _) => (wish.lines.as_slice(), None, false),
            Work::Confirm(target, _) => ([].as_slice(), Some(target), true),
            // What is ordered by card stays on the shelf.
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

    /// What no other command may have while this one is carried out.
    pub(super) fn rows(&self) -> Box<[Row]> {
        let products = self.products().map(|(product, _)| Row::Product(product));
        let key = self.key.iter();
        std::iter::once(Row::Customer(self.customer()))
            .chain(products)
            .chain(key.map(|key| Row::key(self.caller.user_id, &key.key)))
            .collect()
    }
}

/// Sorted, each once: one statement serves a batch of any size, and twins do not ask twice.
pub(super) fn distinct(ids: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
