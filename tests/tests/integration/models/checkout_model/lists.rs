//! This module holds the model: the expected state of orders by card, stock and money. Objects are referred to by their
//! index in a list. Times are seconds of a clock that the test moves; amounts are whole currency units.

mod orders;
mod payment_worker;
mod stock;

use std::collections::{BTreeMap, BTreeSet};

use entity::orders::{CancelReason, Status};
use entity::payment_intents::Status as Intent;
use entity::refunds::Status as RefundStatus;
use entity::reservations::Status as HoldStatus;
use entity::{CustomerId, OrderId, ProductId, RefundId, ReservationId};

pub(super) use orders::{By, What, minor};
pub(super) use payment_worker::{Asked, Due, Rows};

/// The model's clock moves in whole ticks of 600 seconds, and every expiry lies in the middle of one. Real time that
/// the test takes therefore changes nothing.
pub(super) const TICK: i64 = 600;

#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) now: i64,
    pub(super) customers: Vec<Customer>,
    pub(super) products: Vec<Product>,
    /// In order of creation, which is the order of every waitlist.
    pub(super) holds: Vec<Hold>,
    pub(super) orders: Vec<Order>,
    /// The order of each refund, read from the database.
    pub(super) refunds: BTreeMap<RefundId, OrderId>,
    /// The expected state of the provider.
    pub(super) till: super::till::Till,
}

#[derive(Debug)]
pub(super) struct Customer {
    pub(super) id: CustomerId,
    pub(super) credit: i64,
}

#[derive(Debug)]
pub(super) struct Product {
    pub(super) id: ProductId,
    pub(super) price: i64,
    pub(super) on_hand: i64,
    pub(super) limit: Option<i64>,
}

/// A reservation, or the hold of an order by card.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) id: ReservationId,
    pub(super) customer: usize,
    pub(super) items: Vec<Item>,
    pub(super) ttl: i64,
    pub(super) expires: i64,
    /// The stored status, which does not consider the time.
    written: HoldStatus,
}

#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) product: usize,
    pub(super) quantity: i64,
    /// True while the item is in the product's counts: it has not been released since it expired.
    counted: bool,
}

#[derive(Debug)]
pub(super) struct Order {
    pub(super) id: OrderId,
    pub(super) customer: usize,
    pub(super) items: Vec<(usize, i64)>,
    pub(super) total: i64,
    pub(super) status: Status,
    pub(super) reason: Option<CancelReason>,
    /// Every change of status, as old and new.
    pub(super) steps: Vec<(Status, Status)>,
    pub(super) card: Option<Card>,
    /// Restocked units by product.
    returned: BTreeMap<usize, i64>,
}

/// The additional state of an order by card.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) hold: usize,
    pub(super) intent: Intent,
    /// True if the service knows the provider's id of the intent.
    pub(super) known: bool,
    /// True if the service has the client secret, so that the buyer can pay.
    pub(super) secret: bool,
    pub(super) has_failed: bool,
    pub(super) expires: i64,
    pub(super) paid: i64,
    pub(super) refunds: Vec<Refund>,
    /// Ids of the events that were processed.
    taken: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct Refund {
    /// `None` until the id was read from the database.
    pub(super) id: Option<RefundId>,
    pub(super) amount: i64,
    pub(super) status: RefundStatus,
    pub(super) restock: bool,
    /// The number of the manual refund at the provider, or `None` for a refund by the service.
    pub(super) hand: Option<usize>,
    pub(super) items: Vec<(usize, i64)>,
    pub(super) known: bool,
}

/// A command for the desk.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    Buy(usize, Vec<(usize, i64)>),
    Checkout(usize, Vec<(usize, i64)>, i64),
    Reserve(usize, Vec<(usize, i64)>, i64, bool),
    Confirm(usize),
    ConfirmByCard(usize, i64),
    GiveUp(usize),
}

impl Lists {
    /// Ticks left until then, including the one in progress.
    pub(super) fn ticks(&self, then: i64) -> i64 {
        (then - self.now + TICK - 1).div_euclid(TICK)
    }
}

impl Order {
    pub(super) fn card(&self) -> &Card {
        self.card.as_ref().unwrap()
    }

    fn card_mut(&mut self) -> &mut Card {
        self.card.as_mut().unwrap()
    }

    fn step(&mut self, to: Status) {
        self.steps.push((self.status, to));
        self.status = to;
    }
}

impl Card {
    /// The refunded amount, including refunds that are in progress.
    pub(super) fn refunded(&self) -> i64 {
        let counted = self.refunds.iter();
        let counted = counted.filter(|refund| refund.status != RefundStatus::Failed);
        counted.map(|refund| refund.amount).sum()
    }
}
