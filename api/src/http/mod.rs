//! What every request and answer passes: ids, the log, headers, limits, compression, connections, and the client for requests
//! that the service makes itself.
//!
//! May use `schema`.

pub mod client;
pub mod compression;
pub mod connection_progress;
pub mod csv;
pub mod gateways;
pub mod headers;
pub mod limits;
pub mod log;
pub mod request;
