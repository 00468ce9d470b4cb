//! The commands of the program beside serving, and the database that they work on.
//!
//! May use `config` and what is below it.

pub mod create_business;
pub mod database_choice;
pub mod migrate;
pub mod migrations;
pub mod renumber_audit;
pub mod verify;
