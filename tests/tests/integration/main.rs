//! The integration tests: one binary, a folder for each theme, a file for each subject. A test's name is a promise.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod card;
mod desk;
mod http;
mod models;
mod money;
mod operations;
mod trade;
