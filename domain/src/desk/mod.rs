//! The desk, where everything is sold: stock from the shelf and credit from the customer, all of it or none.
//!
//! [`Desk`] takes purchases in the order of their arrival (`queue.rs`) and sells them in batches: one transaction each, a
//! handful of round trips however many it holds. A batch (`batch.rs`)
//!
//! 1. begins, and locks its customers by id, then its inventory rows by product id (`lock.rs`);
//! 2. reads what it needs to know beside those rows: keys that were answered before, and what a customer has bought of
//!    a limited product;
//! 3. decides each purchase in turn in memory (`decision.rs`, a pure function);
//! 4. writes everything in one statement (`write.rs`) and commits.
//!
//! Row locks make it right, with any number of processes on one database; the desk only makes it fast and fair.
//! Bounds: [`crate::purchase::MAX_LINES`] lines a purchase, [`BATCH`] purchases a batch, [`WAITING`] waiting in a business.

mod batch;
pub mod decision;
mod lanes;
mod lock;
mod queue;
mod write;

pub use lanes::{BATCH, Desk, WAITING};
use queue::Row;

use crate::Caller;
use crate::idempotency::{Answer, Claim};
use crate::purchase::{Purchase, Receipt};

/// A purchase on its way to the desk.
#[derive(Debug)]
pub struct Command {
    /// In whose name.
    pub caller: Caller,
    /// What is asked for.
    pub purchase: Purchase,
    /// Present when a repetition must get the first answer.
    pub claim: Option<Claim>,
    /// Puts a receipt into the form that the client gets. Called before the commit, since the answer to a keyed
    /// request commits with its effect.
    pub render: fn(&Receipt) -> Answer,
}

impl Command {
    /// What no other purchase may have while this one is made.
    fn rows(&self) -> Box<[Row]> {
        let products = self.purchase.lines.iter();
        let key = self.claim.iter();
        std::iter::once(Row::Customer(self.purchase.customer_id))
            .chain(products.map(|line| Row::Product(line.product_id)))
            .chain(key.map(|claim| Row::key(self.caller.user_id, &claim.key)))
            .collect()
    }
}
