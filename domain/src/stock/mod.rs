//! The stock wing: locked stock with its holds and waitlists, inventory and its movements, reservations, and
//! availability.
//!
//! May use `identity` and what is below it.

pub mod availability;
pub mod inventory;
mod line;
pub mod locked_stock;
mod new_movements;
pub mod reservations;
pub(crate) mod skus;

pub use line::{Line, MAX_LINES};
