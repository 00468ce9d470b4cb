//! A fault at one place of a request.

use serde::Serialize;
use utoipa::ToSchema;

/// A fault in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// The place of the fault: a JSON pointer into the body (RFC 6901), `?name` for a query parameter, or a header's
    /// name.
    #[schema(example = "/items/0/quantity")]
    pub pointer: String,
    /// The fault, as the end of a sentence that starts with the field's name.
    #[schema(example = "must be a whole number from 1 to 1,000,000")]
    pub message: String,
}
