//! The one binary of integration tests; each file is a subject, each name a promise.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod aging;
mod api_keys;
mod auth;
mod businesses;
mod customers;
mod faults;
mod gateways;
mod idempotency;
mod input;
mod inventory;
mod limits;
mod migration;
mod openapi;
mod overdue;
mod products;
mod program;
mod purchase;
mod purchase_concurrency;
mod readme;
mod refresh_tokens;
mod row_security;
mod statements;
mod tenancy;
mod tokens;
mod tokens_rotation;
mod users;
mod verify;
