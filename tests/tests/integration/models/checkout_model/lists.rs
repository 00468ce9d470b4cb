//! What orders by card, stock and money should come to, in the plainest form: things are places in lists, times are seconds
//! of a clock that the test moves, amounts are whole units.

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

/// The clock moves by whole ticks, and what expires does so in the middle of one: however long the test takes.
pub(super) const TICK: i64 = 600;

#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) now: i64,
    pub(super) customers: Vec<Customer>,
    pub(super) products: Vec<Product>,
    /// In the order in which they came, which is the order of every line.
    pub(super) holds: Vec<Hold>,
    pub(super) orders: Vec<Order>,
    /// Of which order each refund is, as the database tells.
    pub(super) refunds: BTreeMap<RefundId, OrderId>,
    /// What the provider should know.
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

/// A reservation, or what holds the stock of an order by card.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) id: ReservationId,
    pub(super) customer: usize,
    pub(super) items: Vec<Item>,
    pub(super) ttl: i64,
    pub(super) expires: i64,
    /// Without regard to the time.
    written: HoldStatus,
}

#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) product: usize,
    pub(super) quantity: i64,
    /// Still in the product's counts: nobody has come by since it expired.
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
    /// Each status after the first.
    pub(super) steps: Vec<(Status, Status)>,
    pub(super) card: Option<Card>,
    /// How many of each product have come back.
    returned: BTreeMap<usize, i64>,
}

/// What an order by card has beside.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) hold: usize,
    pub(super) intent: Intent,
    /// The provider's id is known.
    pub(super) known: bool,
    /// It can be paid.
    pub(super) secret: bool,
    pub(super) has_failed: bool,
    pub(super) expires: i64,
    pub(super) paid: i64,
    pub(super) refunds: Vec<Refund>,
    /// The events that were taken.
    taken: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct Refund {
    /// As soon as the database has told it.
    pub(super) id: Option<RefundId>,
    pub(super) amount: i64,
    pub(super) status: RefundStatus,
    pub(super) restock: bool,
    /// Which of those that were made by hand, if it is one of them.
    pub(super) hand: Option<usize>,
    pub(super) items: Vec<(usize, i64)>,
    pub(super) known: bool,
}

/// What is asked of the desk.
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
    /// How many are left until then, the one that has begun among them.
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
    /// What of it is given back, or on its way.
    pub(super) fn refunded(&self) -> i64 {
        let counted = self.refunds.iter();
        let counted = counted.filter(|refund| refund.status != RefundStatus::Failed);
        counted.map(|refund| refund.amount).sum()
    }
}
