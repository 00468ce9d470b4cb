//! Customers' accounts: what they owe, what they paid, and their credit.
//!
//! May use `orders` and the wings below it. Locks the customer first, then stock, then orders. Locked rows become plain
//! values, [`settlement`] decides from them, and one function writes.

pub(crate) mod accounts;
pub mod aging;
pub(crate) mod allocations;
pub mod credit_notes;
pub mod credit_on_account;
pub(crate) mod documents;
pub mod ledger;
pub(crate) mod new_entries;
pub mod opening_items;
pub mod overdue;
pub mod payment_changes;
pub mod payments;
pub(crate) mod payout_allocations;
pub mod payouts;
pub(crate) mod report_cursor;
pub mod reversals;
pub mod settlement;
pub mod statements;
pub mod write_offs;
