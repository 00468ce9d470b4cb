//! HTTP and JSON, and nothing else: handlers take a caller and a parsed request, call one domain function and wrap its
//! answer.
//!
//! A request passes, from the outside in: [`http::request`] (its id, the shape of every error, the metrics), [`http::log`]
//! (the span and the one line), [`http::headers`] (which pages may call), [`http::compression`], the routing that
//! [`schema::endpoint`]'s table makes, [`access`] (who may call), the extractors ([`schema`]) and the handler.
//!
//! Each folder may use those below it in this list, and none above.
//!
//! | folder | subject |
//! | --- | --- |
//! | [`commands`] | the commands of the program beside serving |
//! | [`service`], [`app`] | the running service, and what it answers to |
//! | `handlers` | one handler for each endpoint |
//! | [`state`] | what a handler works with |
//! | [`config`] | settings |
//! | [`payments`] | payment providers |
//! | [`access`] | who may call |
//! | [`http`] | what every request and answer passes |
//! | [`schema`] | how requests are read and answers are described |

pub mod access;
pub mod app;
pub mod commands;
pub mod config;
mod handlers;
pub mod http;
pub mod metrics;
pub mod payments;
pub mod readiness;
pub mod schema;
pub mod service;
pub mod state;

#[cfg(test)]
mod tests;
