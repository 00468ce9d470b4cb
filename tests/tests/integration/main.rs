//! This crate is the only binary of integration tests. Each file covers one subject, and each test's name states one
//! guarantee.

#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
#![expect(clippy::too_many_lines, reason = "a test is one history, step by step")]

mod access;
mod card;
mod desk;
mod http;
mod models;
mod money;
mod operations;
mod pages;
mod trade;
