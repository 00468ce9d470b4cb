//! The layers that every request and response passes, and the client for requests that the service makes itself.
//!
//! The layers are ids, the log, headers, limits, compression and connections. The folder may use `schema`.

pub mod client;
pub mod client_address;
pub mod compression;
pub mod connection_progress;
pub mod csv;
pub mod entity_tag;
mod error_page;
pub mod gateways;
pub mod headers;
pub mod limits;
pub mod listing;
pub mod log;
pub mod request;
pub mod site;
