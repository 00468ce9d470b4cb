//! Customers' accounts: payments, credits, payouts, statements, aging.

mod aging;
mod closed_periods;
mod credits;
mod opening_items;
mod overdue;
pub(crate) mod payments;
mod payouts;
mod receivables;
mod statements;
