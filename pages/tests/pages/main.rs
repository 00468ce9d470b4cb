//! Tests of the pages: every screen is rendered from sample data, and its HTML is read.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is the failure of a test"
)]

mod html;
mod office;
mod rendered;
mod samples;
mod sources;
mod words;
