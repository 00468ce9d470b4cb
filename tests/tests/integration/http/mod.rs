//! Requests and responses over HTTP: valid and invalid input, and its results.

mod availability;
mod bodies;
mod bounds;
mod browsers;
mod changes;
mod compression;
mod connections;
mod decoded_paths;
mod idempotency;
mod late_repetitions;
pub(crate) mod limits;
mod openapi;
mod urls;
mod values;
