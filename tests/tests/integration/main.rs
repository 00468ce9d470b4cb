//! The one binary of integration tests; each file is a subject, each name a promise.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod api_keys;
mod auth;
mod bodies;
mod bounds;
mod browsers;
mod businesses;
mod connections;
mod customers;
mod decoded_paths;
mod failed_logins;
mod faults;
mod gateways;
mod grants;
mod idempotency;
mod inventory;
mod late_repetitions;
mod limits;
mod lockouts;
mod metrics;
mod migration;
mod named_businesses;
mod openapi;
mod orders;
mod outages;
mod overdue;
mod products;
mod program;
mod purchase;
mod purchase_concurrency;
mod purchase_model;
mod readme;
mod refresh_tokens;
mod row_security;
mod secrets_at_rest;
mod settings;
mod strangers;
mod tenancy;
mod tokens;
mod tokens_rotation;
mod unknown_businesses;
mod urls;
mod users;
mod values;
