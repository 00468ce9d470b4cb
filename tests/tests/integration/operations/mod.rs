//! Faults, the database and operations.

mod audit;
mod audit_seals;
mod documents;
mod faults;
mod grants;
mod guards;
mod metrics;
mod migration;
mod outages;
mod poolers;
mod program;
mod readme;
pub(crate) mod row_security;
mod secrets_at_rest;
mod settings;
mod statements;
mod tenancy;
mod verify;
