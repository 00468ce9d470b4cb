//! HTTP and JSON, and nothing else: handlers take a caller and a parsed request, call one domain function and wrap its
//! answer.
//!
//! A request passes, from the outside in: [`request`] (its id, the shape of every error, the metrics), [`log`] (the
//! span and the one line), [`headers`] (which pages may call), [`compression`], the routing that [`endpoint`]'s table
//! makes, [`access`] (who may call), the extractors ([`body`], [`query`], [`path`]) and the handler.

pub mod accept;
pub mod access;
pub mod app;
pub mod backend;
pub mod body;
pub mod compression;
pub mod config;
pub mod create_business;
pub mod credential;
pub mod endpoint;
pub mod gateway;
mod handlers;
pub mod headers;
pub mod idempotency;
pub mod idle;
pub mod limit;
pub mod log;
pub mod metrics;
pub mod migrate;
pub mod openapi;
pub mod outgoing;
pub mod path;
pub mod problem;
pub mod query;
pub mod readiness;
pub mod renumber;
pub mod request;
pub mod response;
pub mod service;
pub mod sheet;
pub mod stripe;
pub mod text;
pub mod token;
pub mod verify;

#[cfg(test)]
mod tests;
