//! The one binary of integration tests; each file is a subject, each name a promise.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod api_keys;
mod auth;
mod bodies;
mod browsers;
mod businesses;
mod connections;
mod customers;
mod faults;
mod gateways;
mod grants;
mod idempotency;
mod inventory;
mod limits;
mod metrics;
mod migration;
mod named_businesses;
mod openapi;
mod orders;
mod overdue;
mod products;
mod program;
mod purchase;
mod purchase_concurrency;
mod purchase_model;
mod readme;
mod refresh_tokens;
mod row_security;
mod settings;
mod strangers;
mod tenancy;
mod tokens;
mod tokens_rotation;
mod urls;
mod users;
mod values;
