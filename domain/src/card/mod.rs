//! Orders paid by card: checkout, payment intents, the provider's events, refunds and disputes.
//!
//! May use `receivables` and what is below it. The provider is asked outside of transactions only.

pub(crate) mod attention;
pub mod checkout;
pub(crate) mod disputes;
pub mod provider;
pub mod refunds;
