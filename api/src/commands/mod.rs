//! The program's commands other than serving, and the database that they use.
//!
//! The folder may use `config` and everything below it.

pub mod create_business;
pub mod database_choice;
pub mod migrate;
pub mod migrations;
pub mod renumber_audit;
pub mod verify;
