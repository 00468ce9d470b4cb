//! What is on hand, what is held, and for whom: locked stock with its holds and waitlists, inventory and its movements,
//! reservations, and availability.
//!
//! May use `catalogue` and what is below it.

pub mod availability;
pub mod inventory;
pub mod locked_stock;
pub mod reservations;
