//! The crate holds the harness of the integration tests: one PostgreSQL server per run, one database per test, and the
//! real service over real HTTP.
//!
//! A test needs no preparation. The crate `embedded` starts a temporary server and removes it when the run ends, also
//! after a crash. Each test's database is a copy of a template that was migrated and filled with the demo data once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_debug_implementations,
    reason = "a panic is the failure of a test"
)]

mod account;
pub mod binary;
mod books;
mod card;
pub mod clerk;
mod client;
mod document;
mod events;
mod holds;
mod inspect;
pub mod issuer;
mod pages;
pub mod pictures;
mod pooler;
pub mod program;
mod proxy;
mod routes;
mod server;
mod service;
pub mod stripe;
mod stripe_shop;
mod untouched;
mod wait;

pub use account::{Account, Credit, id_at};
pub use books::{books_balance, differences, verified};
pub use card::{id_of, pay};
pub use clerk::{Clerk, Ordered};
pub use client::{Client, Reply, purchase};
pub use document::{contradictions, resolved};
pub use events::{Event, Events};
pub use holds::{hold, join_waitlist};
pub use pages::member;
pub use pooler::{PgBouncer, Pooling};
pub use proxy::{Proxy, Sabotage, Saying};
pub use routes::{Route, Traded};
pub use server::{
    ACME_KEY, BUYERS_LOGIN, Database, Held, OWNER, REFRESH_TOKEN, RESET_CODE, SERVICE,
};
pub use service::{SECRET, Service, claims, platform_token, settings, signed};
pub use stripe_shop::{StripeShop, dispute};
pub use untouched::{Untouched, customer_path, pointers, sorted, stock_path};
pub use wait::{all, until};
