//! Requests and answers: what may be sent, and what is told.

mod availability;
mod bodies;
mod bounds;
mod browsers;
mod compression;
mod connections;
mod decoded_paths;
mod idempotency;
mod late_repetitions;
pub(crate) mod limits;
mod openapi;
mod urls;
mod values;
