//! The one binary of integration tests; each file is a subject, each name a promise.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod api_keys;
mod auth;
mod bounds;
mod businesses;
mod customers;
mod decoded_paths;
mod failed_logins;
mod faults;
mod gateways;
mod idempotency;
mod input;
mod inventory;
mod late_repetitions;
mod limits;
mod lockouts;
mod migration;
mod openapi;
mod outages;
mod overdue;
mod products;
mod program;
mod purchase;
mod purchase_concurrency;
mod readme;
mod refresh_tokens;
mod row_security;
mod secrets_at_rest;
mod strangers;
mod tenancy;
mod tokens;
mod tokens_rotation;
mod users;
