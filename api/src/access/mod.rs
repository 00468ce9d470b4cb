//! Access control: credentials, their authority, and the check in front of each endpoint.
//!
//! The folder may use `http` and `schema`.

mod admission;
pub mod authenticator;
mod callers;
mod parts;
mod permissions;
pub mod routing;
pub mod token;
mod visits;

pub use admission::{check, count_unmatched};
pub use callers::{Authenticated, OfLogin, Platform, Visit, Visitor};
pub use permissions::Permissions;
