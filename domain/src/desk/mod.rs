//! The desk executes the commands that sell or reserve: each takes its stock and its credit completely or not at all.
//!
//! [`Desk`] takes commands in order of arrival (`queue.rs`) and executes them in batches. A batch is one transaction
//! of a few round trips, whatever its size. A batch (`batch.rs`)
//!
//! 1. begins, and locks its customers by id, then its inventory rows by product id (`lock.rs`). A pipelined batch
//!    follows a batch that is still being written; it locks its inventory rows at its end (`pipeline.rs`);
//! 2. reads the stored responses of its idempotency keys and the purchase history of limited products. Where stock is
//!    held or waited for, it also reads the reservations concerned ([`crate::stock::locked_stock`]);
//! 3. decides each command in turn in memory ([`decision`], pure functions);
//! 4. writes all orders on credit in one statement (`write.rs`) and all reservations in another. Card orders are
//!    written before the reservations and their intents after them (`card_orders.rs`). Then it commits.
//!
//! Row locks make the result correct, with any number of processes on one database. The desk makes it fast and fair:
//! purchases, card orders, reservations, confirmations and cancellations are executed in order of arrival. Bounds:
//! [`crate::stock::MAX_LINES`] lines per command, [`MAX_COMMANDS_PER_BATCH`] commands per batch,
//! [`MAX_QUEUED_PER_BUSINESS`] queued commands per business.

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

pub use command::{Command, Confirmation, Work};
pub use lanes::Desk;
pub use outcome::Executed;
pub use queues::{MAX_COMMANDS_PER_BATCH, MAX_QUEUED_PER_BUSINESS};
