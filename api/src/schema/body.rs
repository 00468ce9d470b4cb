//! Reading of JSON bodies. All faults are reported at once, each with a JSON pointer to it.
//!
//! A body is parsed into types that can only hold valid values, so a handler never sees an invalid one. The parser is
//! not serde's, which stops at the first fault and reads numbers as floats. The [`body!`](crate::body!) macro makes the
//! parser and the OpenAPI schema of a struct from one declaration, so that the two cannot diverge.

mod containers;
mod json;
mod members;
mod reader;
mod values;

pub use containers::{Change, List, Replace};
pub(crate) use json::parse;
pub use members::{Members, member_name};
pub(crate) use reader::{Accepted, CODINGS, announces_too_much, read_in_time, too_large};
pub use reader::{Bare, BodyTimeout, Json, JsonOrEmpty, MAX_BYTES, Raw};
pub use values::Positive;

use crate::schema::faults::At;
use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};

/// A type that a member of a request's body can have.
pub trait FromJson: Sized {
    /// False when the member may be absent.
    const REQUIRED: bool = true;

    /// Parses the value. `None` after a fault, which is reported to `at`.
    fn from_json(value: Value, at: &mut At) -> Option<Self>;

    /// The value of an absent member. By default, a fault.
    fn missing(at: &mut At) -> Option<Self> {
        at.fault("is required");
        None
    }

    /// The OpenAPI schema: a reference for an object, inline for any other type. Bounds belong to the field that has
    /// them.
    fn schema() -> RefOr<Schema>;

    /// Adds the components that the schema refers to.
    fn components(_: &mut Vec<(String, RefOr<Schema>)>) {}
}

#[cfg(test)]
mod tests;
