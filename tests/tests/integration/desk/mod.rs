//! The desk under concurrency.

mod batches;
mod purchase_concurrency;
mod purchase_promises;
mod retries;
