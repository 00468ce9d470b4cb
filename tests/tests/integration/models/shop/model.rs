//! This module holds the model: a plain re-implementation of the rules of stock, reservations, waitlists, credit and
//! card orders. Objects are referred to by their index in a list. Times are seconds of a clock that the test moves;
//! amounts are in cents.

mod corrections;
mod desk;
mod orders;
mod payment_worker;
mod stock;

use std::collections::{BTreeMap, BTreeSet};

use entity::orders::{CancelReason, Status};
use entity::payment_intents::Status as Intent;
use entity::refunds::Status as RefundStatus;
use entity::reservations::Status as HoldStatus;
use entity::{CustomerId, OrderId, ProductId, RefundId, ReservationId};

pub(crate) use orders::{By, What};
pub(crate) use payment_worker::{Calls, Due};

/// The model's clock moves in whole ticks of 600 seconds, and every expiry lies in the middle of one. Real time that
/// the test takes therefore changes nothing.
pub(crate) const TICK: i64 = 600;

#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) now: i64,
    pub(crate) customers: Vec<Customer>,
    /// The customer with the index after the last, who does not exist.
    pub(crate) nobody: CustomerId,
    pub(crate) products: Vec<Product>,
    /// In order of creation, which is the order of every waitlist.
    pub(crate) holds: Vec<Hold>,
    pub(crate) orders: Vec<Order>,
    /// The order of each refund, read from the database.
    pub(crate) refunds: BTreeMap<RefundId, OrderId>,
    /// The expected state of the provider.
    pub(crate) provider_account: super::provider::ProviderAccount,
    /// For each of the provider's events, whether it was sent.
    pub(crate) sent: Vec<bool>,
}

#[derive(Debug, Clone)]
pub(crate) struct Customer {
    pub(crate) id: CustomerId,
    pub(crate) credit: i64,
    /// True while an admin has stopped sales to the customer.
    pub(crate) on_hold: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Product {
    pub(crate) id: ProductId,
    pub(crate) price: i64,
    pub(crate) on_hand: i64,
    pub(crate) limit: Option<i64>,
}

/// A reservation, or the hold of an order by card.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) id: ReservationId,
    pub(crate) customer: usize,
    pub(crate) items: Vec<Item>,
    pub(crate) ttl: i64,
    pub(crate) expires: i64,
    /// The stored status, which does not consider the time.
    written: HoldStatus,
}

#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) product: usize,
    pub(crate) quantity: i64,
    /// The price when it was reserved.
    price: i64,
    /// True while the item is in the product's counts: it has not been released since it expired.
    counted: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    pub(crate) customer: usize,
    pub(crate) items: Vec<(usize, i64)>,
    pub(crate) total: i64,
    pub(crate) status: Status,
    pub(crate) reason: Option<CancelReason>,
    /// Every change of status, as old and new.
    pub(crate) steps: Vec<(Status, Status)>,
    pub(crate) card: Option<Card>,
    /// The price of each product.
    prices: BTreeMap<usize, i64>,
    /// Restocked units by product.
    returned: BTreeMap<usize, i64>,
}

/// The additional state of an order by card.
#[derive(Debug, Clone)]
pub(crate) struct Card {
    pub(crate) hold: usize,
    pub(crate) intent: Intent,
    /// True if the service knows the provider's id of the intent.
    pub(crate) known: bool,
    /// True if the service has the client secret, so that the buyer can pay.
    pub(crate) secret: bool,
    pub(crate) has_failed: bool,
    pub(crate) expires: i64,
    pub(crate) paid: i64,
    pub(crate) refunds: Vec<Refund>,
    /// Ids of the events that were processed.
    taken: BTreeSet<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Refund {
    /// `None` until the id was read from the database.
    pub(crate) id: Option<RefundId>,
    pub(crate) amount: i64,
    pub(crate) status: RefundStatus,
    pub(crate) restock: bool,
    /// The number of the manual refund at the provider, or `None` for a refund by the service.
    pub(crate) hand: Option<usize>,
    pub(crate) items: Vec<(usize, i64)>,
    pub(crate) known: bool,
}

/// A product, a quantity, and the price that the buyer has seen.
pub(crate) type Line = (usize, i64, Option<i64>);

/// A command for the desk.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Buy(usize, Vec<Line>),
    /// The last field is the number of seconds to pay.
    Checkout(usize, Vec<Line>, i64),
    /// The customer, the lines, the seconds to hold, and whether the customer would wait.
    Reserve(usize, Vec<Line>, i64, bool),
    Confirm(usize),
    /// The last field is the number of seconds to pay.
    ConfirmByCard(usize, i64),
    GiveUp(usize),
}

/// A change of terms.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    /// A product's price.
    Price(usize, i64),
    /// A customer's credit limit.
    Credit(usize, i64),
    /// Stops sales to a customer, or permits them again.
    OnHold(usize, bool),
}

/// The outcome of a command for the desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CommandOutcome {
    Sold {
        total: i64,
        balance: i64,
        available: i64,
    },
    /// An order by card with this total.
    Placed(i64),
    /// A reservation's status, and its position on the waitlist.
    Hold(HoldStatus, Option<usize>),
}

/// The reason of a rejection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoCustomer,
    OnHold,
    PriceChanged {
        product: usize,
        quoted: i64,
        current: i64,
    },
    /// The product, and the number of units at each price.
    PricesDiffer(usize, Vec<(i64, i64)>),
    /// The product, and the units that the customer has bought, holds or waits for.
    Limit(usize, i64),
    /// The product, the requested and the available quantity of each shortage.
    Short(Vec<(usize, i64, i64)>),
    Credit {
        amount: i64,
        balance: i64,
        limit: i64,
    },
    NothingToPay,
    TooManyReservations,
    SoldOut,
    Expired,
    Resolved(HoldStatus),
    CountedBelowReserved {
        on_hand: i64,
        reserved: i64,
    },
    Provider,
    InvalidTransition,
    Forbidden,
    NoOrder,
    NotPaid,
    NotPaidByCard,
    AlreadyRefunded,
    NothingToRefund,
    /// The amount that can still be refunded.
    MoreThanPaid(i64),
    /// The product, and the units that can still be refunded.
    MoreThanSold(usize, i64),
}

impl Model {
    /// Ticks left until then, including the one in progress.
    pub(crate) fn ticks(&self, then: i64) -> i64 {
        (then - self.now + TICK - 1).div_euclid(TICK)
    }

    pub(crate) fn customer_id(&self, who: usize) -> CustomerId {
        let customer = self.customers.get(who);
        customer.map_or(self.nobody, |customer| customer.id)
    }

    pub(crate) fn find(&self, id: OrderId) -> Option<usize> {
        self.orders.iter().position(|order| order.id == id)
    }
}

impl Order {
    pub(crate) fn card(&self) -> &Card {
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
    pub(crate) fn refunded(&self) -> i64 {
        let counted = self.refunds.iter();
        let counted = counted.filter(|refund| refund.status != RefundStatus::Failed);
        counted.map(|refund| refund.amount).sum()
    }
}
