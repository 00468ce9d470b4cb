//! The desk, where everything is sold and reserved: stock from the shelf and credit from the customer, all of it or none.
//!
//! [`Desk`] takes commands in the order of their arrival (`queue.rs`) and serves them in batches: one transaction each, a
//! handful of round trips however many it holds. A batch (`batch.rs`)
//!
//! 1. begins, and locks its customers by id, then its inventory rows by product id (`lock.rs`), or, where it follows a batch
//!    that is still being written, the customers alone and the inventory rows at its end (`promise.rs`);
//! 2. reads what it needs to know beside those rows: the records of their idempotency keys, what a customer has bought of
//!    a limited product, and, where stock is held or waited for, the reservations that matter ([`crate::stock::locked_stock`]);
//! 3. decides each command in turn in memory ([`decision`], pure functions);
//! 4. writes all orders on credit in one statement (`write.rs`), all reservations in another, with orders by card around
//!    that (`cards.rs`), and commits.
//!
//! Row locks make it right, with any number of processes on one database; the desk only makes it fast and fair: first
//! come, first served, whether one buys, orders by card, reserves, confirms or gives up.
//! Bounds: [`crate::stock::MAX_LINES`] lines a command, [`BATCH`] commands a batch, [`WAITING`] waiting in a business.

mod audit_entries;
mod batch;
mod card_orders;
mod command;
pub mod decision;
mod holds;
mod lanes;
mod lock;
mod outcome;
mod pipeline;
pub mod purchase;
mod purchase_history;
mod queue;
mod queues;
mod write;

pub use command::{Command, Work};
pub use lanes::Desk;
pub use outcome::Executed;
pub use queues::{BATCH, WAITING};
