//! The rules of the trade, and the only place that opens a transaction. Knows no HTTP.
//!
//! Every write takes the same path: begin, lock rows in the one order (customers by id, inventory by product id, orders
//! by id), decide in memory, write, commit. Nothing is checked before `begin`, and nothing outside the database is
//! called before the commit.

mod accounts;
pub mod aging;
pub mod allocations;
pub mod api_keys;
pub mod audit;
pub mod auth;
pub mod availability;
pub mod businesses;
mod caller;
pub mod checkout;
pub mod credit_notes;
pub mod customers;
mod database;
pub mod dates;
pub mod demo;
pub mod desk;
mod disputes;
pub mod email;
mod error;
pub mod idempotency;
pub mod inventory;
mod journal;
pub mod ledger;
pub mod orders;
pub mod overdue;
mod page;
pub mod passwords;
pub mod payments;
pub mod payouts;
pub mod products;
pub mod provider;
pub mod purchase;
pub mod refresh_tokens;
pub mod refunds;
pub mod reservations;
mod retry;
pub mod reversals;
pub mod sales;
pub mod seals;
mod secret;
pub mod settlement;
pub mod shelf;
mod standing;
pub mod statements;
mod tidy;
pub mod unicode;
pub mod users;
pub mod verify;
mod watch;
pub mod write_offs;

pub use accounts::Figures;
pub use businesses::Directory;
pub use caller::{Authority, Caller, PlatformCaller};
pub use database::{CannotConnect, Database, SchemaState, Transaction};
pub use error::{Error, HoldLimit, Shortage};
pub use journal::{Journal, Refusal, Void};
pub use page::{Page, Paging};
pub use secret::Secret;
pub use standing::{Key, Standing};
