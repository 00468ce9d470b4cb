//! Purchases on credit: stock from the shelf and credit from the customer, all of it or none.
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
//! Bounds: [`MAX_LINES`] lines a purchase, [`desk::BATCH`] purchases a batch, [`desk::WAITING`] waiting in a business.

mod batch;
pub mod decision;
mod desk;
mod lock;
mod queue;
mod write;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use entity::ledger_entries::Kind;
use entity::{Currency, CustomerId, Money, OrderId, ProductId, Quantity};

pub use desk::{BATCH, Desk, WAITING};
use queue::Row;

use crate::Caller;
use crate::idempotency::{Answer, Claim};
use crate::ledger::{Posting, Used};

/// The most lines that one purchase may have.
pub const MAX_LINES: usize = 500;

/// What a customer asks for.
#[derive(Debug, Clone)]
pub struct Purchase {
    /// Who buys and owes.
    pub customer_id: CustomerId,
    /// What, in the buyer's order. Two lines of one product count as one.
    pub lines: Vec<Line>,
}

/// One line of a purchase.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// What.
    pub product_id: ProductId,
    /// How many.
    pub quantity: Quantity,
    /// The price that the buyer saw. Never the price that is charged.
    pub quoted: Option<Money>,
}

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

/// A purchase that was made.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The new order, approved.
    pub order_id: OrderId,
    /// Who owes for it.
    pub customer_id: CustomerId,
    /// The business's currency.
    pub currency: Currency,
    /// What was sold, in the buyer's order.
    pub lines: Vec<SoldLine>,
    /// The sum of the lines.
    pub total: Money,
    /// The charge in the customer's account. Its `balance_after` is what the customer owes now.
    pub charge: Posting,
    /// The credits that have settled it.
    pub credit_used: Vec<Used>,
    /// What it may still buy.
    pub available_credit: Money,
    /// When it was sold: the database's clock.
    pub created_at: DateTime<Utc>,
    /// When it is to be paid.
    pub due_at: DateTime<Utc>,
}

impl Receipt {
    /// What money that was paid ahead has settled.
    #[must_use]
    pub fn amount_paid(&self) -> Money {
        self.settled_by(|kind| kind == Kind::Payment)
    }

    /// What credit without money has settled.
    #[must_use]
    pub fn amount_credited(&self) -> Money {
        self.settled_by(|kind| kind != Kind::Payment)
    }

    fn settled_by(&self, which: impl Fn(Kind) -> bool) -> Money {
        let used = self.credit_used.iter();
        used.filter(|used| which(used.kind))
            .map(|used| used.amount)
            .sum()
    }
}

/// One product that was sold, as it is at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoldLine {
    /// What.
    pub product_id: ProductId,
    /// Its number in the catalogue.
    pub sku: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// How many.
    pub quantity: i64,
    /// The product's price.
    pub unit_price: Money,
    /// Quantity times price.
    pub line_total: Money,
    /// What stays on the shelf.
    pub on_hand_after: i64,
}
