//! Who may call: tokens and keys, what they are worth, and the decision in front of each endpoint.
//!
//! May use `http` and `schema`.

mod admission;
pub mod authenticator;
pub mod routing;
pub mod token;

pub use admission::{Authenticated, Platform, Visitor, check, count_strays};
