//! The one binary of integration tests; each file is a subject, each name a promise.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod faults;
mod idempotency;
mod purchase;
mod purchase_concurrency;
mod readme;
