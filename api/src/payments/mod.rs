//! External payment providers.
//!
//! The folder may use `http` and `schema`.

pub mod stripe;
