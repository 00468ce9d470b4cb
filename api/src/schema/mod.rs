//! How requests are read and answers are described: text and bodies with every fault at once, queries, problems, idempotency
//! keys, the table of endpoints and its OpenAPI document.
//!
//! Uses `domain` and `entity`, and nothing of the other folders.

pub mod body;
pub mod canonical;
pub mod content_negotiation;
pub mod csv_dialect;
pub mod endpoint;
pub mod faults;
pub mod idempotency;
pub mod openapi;
pub mod path;
pub mod problem;
pub mod query;
pub mod response;
pub mod text;
