//! Where the reader of a request is, and what it has found wrong.

use entity::Currency;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::problem::{Code, Problem};

/// The most faults that one answer lists: a limit on what a bad request can make the service say.
pub const MAX_FAULTS: usize = 1000;

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

/// The place in a request that is being read.
#[derive(Debug)]
pub struct At {
    pointer: String,
    faults: Vec<Fault>,
    currency: Option<Currency>,
}

impl At {
    /// The whole of a request to the business with this currency, or to none.
    #[must_use]
    pub fn new(currency: Option<Currency>) -> Self {
        Self {
            pointer: String::new(),
            faults: Vec::new(),
            currency,
        }
    }

    /// The currency of the caller's business. A public request has none.
    #[must_use]
    pub fn currency(&self) -> Option<Currency> {
        self.currency
    }

    /// Reports a fault here.
    pub fn fault(&mut self, message: impl Into<String>) {
        self.fault_at(self.pointer.clone(), message);
    }

    /// Reports a fault of something that is not in the body.
    pub fn fault_at(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault {
                pointer: pointer.into(),
                message: message.into(),
            });
        }
    }

    /// Does something one level further in, at a member's name or an element's index.
    pub fn inside<T>(&mut self, token: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.pointer.len();
        self.pointer.push('/');
        self.pointer
            .push_str(&token.replace('~', "~0").replace('/', "~1"));
        let value = read(self);
        self.pointer.truncate(length);
        value
    }

    /// What was read, if nothing was wrong anywhere.
    ///
    /// # Errors
    /// `validation_failed` with every fault.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(self.problem()),
        }
    }

    /// All that was wrong.
    #[must_use]
    pub fn problem(self) -> Problem {
        let faults = self
            .faults
            .into_iter()
            .map(|fault| serde_json::json!({"pointer": fault.pointer, "message": fault.message}));
        let detail = "The list of errors says what is wrong, and where.";
        Problem::new(Code::ValidationFailed, detail).with("errors", faults.collect::<Vec<Value>>())
    }
}
