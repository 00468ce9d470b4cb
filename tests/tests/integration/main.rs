//! The one binary of integration tests; each file is a subject, each name a promise.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod api_keys;
mod auth;
mod customers;
mod faults;
mod idempotency;
mod input;
mod inventory;
mod migration;
mod openapi;
mod overdue;
mod products;
mod program;
mod purchase;
mod purchase_concurrency;
mod readme;
mod refresh_tokens;
mod tenancy;
mod users;
