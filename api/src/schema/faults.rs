//! Where the reader of a request is, and what it has found wrong.

use entity::Currency;

use crate::schema::problem::Fault;
use crate::schema::problem::Problem;

/// The most faults that one answer lists: a limit on what a bad request can make the service say.
pub const MAX_FAULTS: usize = 1000;

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
        Problem::of_faults(self.faults)
    }
}
