//! The desk under concurrency.

mod batches;
mod pipelined_batches;
mod purchase_concurrency;
mod retries;
