//! The rules of the trade, and the only place that opens a transaction. Knows no HTTP.
//!
//! Every write takes the same path: begin, lock rows in the one order (customers by id, inventory by product id, orders
//! by id), decide in memory, write, commit. Nothing is checked before `begin`, and nothing outside the database is
//! called before the commit.

mod caller;
mod database;
mod error;
pub mod idempotency;
mod retry;

pub use caller::{Authority, Caller};
pub use database::{Database, Transaction};
pub use error::{Error, Shortage};
