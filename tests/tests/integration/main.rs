//! The one binary of integration tests; each file is a subject, each name a promise.

mod access;
mod auth;
mod input;
mod migration;
mod purchase;
mod readme;
mod tenancy;
