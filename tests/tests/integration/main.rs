//! The one binary of integration tests; each file is a subject, each name a promise.

mod access;
mod migration;
mod purchase;
mod readme;
mod tenancy;
