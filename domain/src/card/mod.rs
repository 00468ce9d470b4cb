//! Card orders: checkout, payment intents, events of the provider, refunds and disputes.
//!
//! May use `receivables` and the wings below it. The provider is called outside of transactions only.

mod amount_due;
pub(crate) mod attention;
pub mod checkout;
mod client_secret;
pub(crate) mod disputes;
mod events;
mod intents;
pub(crate) mod locked_order;
mod payment_worker;
pub mod provider;
mod reading;
pub mod refunds;
mod refunds_found;

pub use amount_due::amount_due;
pub use client_secret::client_secret;
pub use events::receive;
pub use intents::finish;
pub use payment_worker::{PaymentWorker, work};
