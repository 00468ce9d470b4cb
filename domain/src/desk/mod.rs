//! The desk, where everything is sold and reserved: stock from the shelf and credit from the customer, all of it or none.
//!
//! [`Desk`] takes commands in the order of their arrival (`queue.rs`) and serves them in batches: one transaction each, a
//! handful of round trips however many it holds. A batch (`batch.rs`)
//!
//! 1. begins, and locks its customers by id, then its inventory rows by product id (`lock.rs`), or, where it follows a batch
//!    that is still being written, the customers alone and the inventory rows at its end (`promise.rs`);
//! 2. reads what it needs to know beside those rows: keys that were answered before, what a customer has bought of
//!    a limited product, and, where stock is held or waited for, the reservations that matter ([`crate::stock::locked_stock`]);
//! 3. decides each command in turn in memory ([`decision`], pure functions);
//! 4. writes all orders on credit in one statement (`write.rs`), all reservations in another, with orders by card around
//!    that (`cards.rs`), and commits.
//!
//! Row locks make it right, with any number of processes on one database; the desk only makes it fast and fair: first
//! come, first served, whether one buys, orders by card, reserves, confirms or gives up.
//! Bounds: [`crate::purchase::MAX_LINES`] lines a command, [`BATCH`] commands a batch, [`WAITING`] waiting in a business.

mod audit_entries;
mod batch;
mod card_orders;
pub mod decision;
mod holds;
mod lanes;
mod lock;
mod pipeline;
mod purchase_history;
mod queue;
mod write;

use entity::{Currency, CustomerId, ProductId};

pub use lanes::{BATCH, Desk, WAITING};
use queue::Row;

use crate::Caller;
use crate::card::checkout::{Placed, Terms};
use crate::foundation::idempotency::{Answer, Claim};
use crate::purchase::{Purchase, Receipt};
use crate::stock::reservations::{Found, Target, Wish};

/// Something that is asked of the desk.
#[derive(Debug)]
pub struct Command {
    /// In whose name.
    pub caller: Caller,
    /// What is asked for.
    pub work: Work,
    /// Present when a repetition must get the first answer.
    pub claim: Option<Claim>,
}

/// What can be asked for. Each brings the function that puts its result into the form that the client gets: it is called
/// before the commit, since the answer to a keyed request commits with its effect.
#[derive(Debug)]
pub enum Work {
    /// Buying on credit.
    Purchase(Purchase, fn(&Receipt) -> Answer),
    /// Holding stock, or waiting for some.
    Reserve(Wish, fn(&Found, Currency) -> Answer),
    /// Buying on credit what is held.
    Confirm(Target, fn(&Receipt) -> Answer),
    /// Ordering by card: the stock is held until it is paid for.
    Checkout(Purchase, Terms, fn(&Placed) -> Answer),
    /// Ordering by card what is held.
    ConfirmByCard(Target, Terms, fn(&Placed) -> Answer),
    /// Giving up what is held, or a place in line.
    Cancel(Target, fn(&Found, Currency) -> Answer),
}

impl Command {
    /// Whom it is about.
    fn customer(&self) -> CustomerId {
        match &self.work {
            Work::Purchase(purchase, _) | Work::Checkout(purchase, ..) => purchase.customer_id,
            Work::Reserve(wish, _) => wish.customer_id,
            Work::Confirm(target, _)
            | Work::ConfirmByCard(target, ..)
            | Work::Cancel(target, _) => target.customer_id,
        }
    }

    /// Which stock it is about, with how many at most it may take from the shelf.
    fn products(&self) -> impl Iterator<Item = (ProductId, i64)> {
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
    fn rows(&self) -> Box<[Row]> {
        let products = self.products().map(|(product, _)| Row::Product(product));
        let key = self.claim.iter();
        std::iter::once(Row::Customer(self.customer()))
            .chain(products)
            .chain(key.map(|claim| Row::key(self.caller.user_id, &claim.key)))
            .collect()
    }
}
