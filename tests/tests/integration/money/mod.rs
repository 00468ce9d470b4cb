//! Customers' accounts: payments, credits, payouts, statements, aging.

mod aging;
mod closed_periods;
mod credits;
mod overdue;
pub(crate) mod payments;
mod payouts;
mod receivables;
mod statements;
