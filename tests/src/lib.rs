//! The harness of the integration tests: one PostgreSQL server a run, a database of its own for each test, and the real
//! service over real HTTP.
//!
//! Nothing has to be prepared. The server is a scratch one of the crate `embedded`, gone when the run ends, however it
//! ends. Each test's database is a copy of a template that was migrated and given the demo data once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_debug_implementations,
    reason = "a test that cannot go on fails"
)]

pub mod binary;
mod client;
mod inspect;
mod pages;
mod routes;
mod server;
mod service;

pub use client::{Client, Reply};
pub use pages::member;
pub use routes::Route;
pub use server::{Database, OWNER, SERVICE};
pub use service::{SECRET, Service, claims, settings, signed};
