//! Reports on sales, stock and receivables, by the days of the business.
//!
//! May use `receivables` and the wings below it. Takes no lock. Figures are kept in the background up to an
//! hour ago ([`figures`]); what came later is read from the orders themselves, by a range of ids, which begin with their
//! time.

mod events;
pub mod figures;
mod period;
pub mod sales;
pub mod stock;
