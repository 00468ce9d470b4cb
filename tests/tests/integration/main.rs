//! The one binary of integration tests; each file is a subject, each name a promise.

mod purchase;
mod readme;
