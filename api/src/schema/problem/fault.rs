//! A fault at one place of a request.

use domain::foundation::imports::RowFault;
use serde::Serialize;
use utoipa::ToSchema;

/// A fault in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// The place of the fault: a JSON pointer into the body (RFC 6901), `?name` for a query parameter, or a header's
    /// name. In a table, `/row/column`.
    #[schema(example = "/items/0/quantity")]
    pub pointer: String,
    /// The fault, as the end of a sentence that starts with the field's name.
    #[schema(example = "must be a whole number from 1 to 1,000,000")]
    pub message: String,
    /// In a table, the line of the file on which the row begins; the header is on line 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 4)]
    pub row: Option<u64>,
    /// In a table, the name of the column.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "sku")]
    pub column: Option<String>,
}

/// The most faults in one response. Limits the length of the response to an invalid request.
pub const MAX_FAULTS: usize = 1000;

impl Fault {
    /// A fault of a body, a query parameter or a header.
    #[must_use]
    pub fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
            row: None,
            column: None,
        }
    }

    /// A fault of a table, of one cell or of a whole row.
    #[must_use]
    pub fn in_row(row: u64, column: Option<&str>, message: impl Into<String>) -> Self {
        let pointer = match column {
            Some(column) => {
                format!("/{row}/{}", column.replace('~', "~0").replace('/', "~1"))
            }
            None => format!("/{row}"),
        };
        Self {
            row: Some(row),
            column: column.map(str::to_owned),
            ..Self::at(pointer, message)
        }
    }
}

impl From<&RowFault> for Fault {
    fn from(fault: &RowFault) -> Self {
        Self::in_row(fault.line, Some(fault.column), fault.reason.to_string())
    }
}
