//! The desk under concurrency.

mod batches;
mod purchase_concurrency;
mod pipelined_batches;
mod retries;
