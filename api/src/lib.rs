//! The HTTP interface: handlers take a caller and a parsed request, call one domain function and convert its outcome.
//!
//! A request passes these layers, from the outside in:
//!
//! 1. [`http::request`]: its id, the form of every error, the metrics
//! 2. [`http::log`]: its span and its log line
//! 3. [`http::headers`]: the pages that may call
//! 4. [`http::limits`]: the rate limit of requests outside the API
//! 5. [`http::compression`]
//! 6. the routing, made from the table of [`schema::endpoint`]
//! 7. [`access`]: the callers that may call
//! 8. the extractors of [`schema`], then the handler
//!
//! Each folder may use those below it in this list, and none above.
//!
//! | folder | subject |
//! | --- | --- |
//! | [`commands`] | the program's commands other than serving |
//! | [`service`], [`app`] | the running service, and its HTTP app |
//! | `pages` | one handler per page and action of browsers, and their static files |
//! | `handlers` | one handler per endpoint of the API |
//! | [`state`] | the parts that handlers use |
//! | [`config`] | settings |
//! | [`payments`] | payment providers |
//! | [`access`] | access control |
//! | [`http`] | the layers of every request and response |
//! | [`schema`] | how requests are read and responses are described |

pub mod access;
pub mod app;
pub mod commands;
pub mod config;
mod handlers;
pub mod http;
pub mod metrics;
mod pages;
pub mod payments;
pub mod readiness;
pub mod schema;
pub mod service;
pub mod state;

#[cfg(test)]
mod tests;
