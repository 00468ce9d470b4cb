//! What is wrong with one place of a request.

use serde::Serialize;
use utoipa::ToSchema;

/// Something wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// Where: a JSON pointer into the body (RFC 6901), `?name` for a query parameter, or a header's name.
    #[schema(example = "/items/0/quantity")]
    pub pointer: String,
    /// What.
    #[schema(example = "must be a whole number from 1 to 1,000,000")]
    pub message: String,
}
