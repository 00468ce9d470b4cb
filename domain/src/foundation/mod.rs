//! The foundation of all wings: database and transactions, retries, idempotency keys, pages, dates, errors, the
//! caller, secrets, and background work.
//!
//! May use `entity` only.

pub(crate) mod bounded_work;
pub(crate) mod caller;
pub(crate) mod clock;
pub(crate) mod database;
pub mod dates;
pub mod email;
pub(crate) mod error;
pub mod idempotency;
pub mod imports;
pub(crate) mod locks;
pub mod metadata;
pub mod new_password;
pub(crate) mod pages;
pub(crate) mod poller;
pub(crate) mod retention;
pub(crate) mod retry;
pub(crate) mod rows;
pub mod search;
pub(crate) mod secret;
pub(crate) mod sql_errors;
pub(crate) mod tables;
pub mod tenants;
pub mod unicode;
pub mod write;
