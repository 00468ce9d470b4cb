//! Access control: credentials, their authority, and the check in front of each endpoint.
//!
//! The folder may use `http` and `schema`.

mod admission;
pub mod authenticator;
pub mod routing;
pub mod token;

pub use admission::{Authenticated, OfLogin, Platform, Visitor, check, count_unmatched};
