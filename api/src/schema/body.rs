//! Reading JSON bodies so that every fault is reported at once, each with a JSON pointer to it.
//!
//! A body is parsed into types that cannot be wrong; a handler never sees one that broke a rule. That is done by hand
//! rather than by serde, since serde stops at the first fault and would take numbers through floats. The
//! [`body!`](crate::body!) macro writes the reading and the OpenAPI schema of a struct from one declaration, so the two
//! cannot part.

mod containers;
mod json;
mod members;
mod reader;
mod values;

pub use containers::{Change, List};
pub(crate) use json::parse;
pub use members::{Members, member_name};
pub use reader::{Bare, BodyTimeout, Json, MAX_BYTES, Raw};
pub(crate) use reader::{announces_too_much, too_large};
pub use values::Positive;

use crate::schema::faults::At;
use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};

/// A type that a member of a request's body can have.
pub trait FromJson: Sized {
    /// Whether the member must be there.
    const REQUIRED: bool = true;

    /// Reads the value, or reports to `at` what is wrong with it.
    fn from_json(value: Value, at: &mut At) -> Option<Self>;

    /// What a member that is not there means.
    fn missing(at: &mut At) -> Option<Self> {
        at.fault("is required");
        None
    }

    /// How OpenAPI describes it: an object by reference, anything else inline, since bounds belong to the field that has
    /// them.
    fn schema() -> RefOr<Schema>;

    /// The components that its schema refers to.
    fn components(_: &mut Vec<(String, RefOr<Schema>)>) {}
}

#[cfg(test)]
mod tests;
