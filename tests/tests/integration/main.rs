//! The one binary of integration tests; each file is a subject, each name a promise.

mod access;
mod auth;
mod customers;
mod input;
mod inventory;
mod migration;
mod openapi;
mod overdue;
mod products;
mod purchase;
mod readme;
mod tenancy;
