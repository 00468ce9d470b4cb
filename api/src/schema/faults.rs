//! The position of a request's parser, and the faults that it has found.

use entity::Currency;

use crate::schema::problem::Fault;
use crate::schema::problem::Problem;

pub use crate::schema::problem::MAX_FAULTS;

/// The place in a request that is being parsed, with all faults so far.
#[derive(Debug)]
pub struct At {
    pointer: String,
    faults: Vec<Fault>,
    currency: Option<Currency>,
    is_form: bool,
}

impl At {
    /// Starts at the root of a request. `currency` is that of the caller's business, `None` in a public request.
    #[must_use]
    pub fn new(currency: Option<Currency>) -> Self {
        Self {
            pointer: String::new(),
            faults: Vec::new(),
            currency,
            is_form: false,
        }
    }

    /// As [`At::new`], for a form: every value is text, and an empty one is absent.
    #[must_use]
    pub fn of_form(currency: Option<Currency>) -> Self {
        Self {
            is_form: true,
            ..Self::new(currency)
        }
    }

    /// Whether every value is text, and an empty one is absent.
    #[must_use]
    pub fn is_form(&self) -> bool {
        self.is_form
    }

    /// The currency of the caller's business; `None` in a public request.
    #[must_use]
    pub fn currency(&self) -> Option<Currency> {
        self.currency
    }

    /// Reports a fault at the current place.
    pub fn fault(&mut self, message: impl Into<String>) {
        self.fault_at(self.pointer.clone(), message);
    }

    /// Reports a fault of a part other than the body, such as a header.
    pub fn fault_at(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.add(Fault::at(pointer, message));
    }

    /// Reports a fault of a table, of one cell or of a whole row.
    pub fn fault_in_row(&mut self, row: u64, column: Option<&str>, message: impl Into<String>) {
        self.add(Fault::in_row(row, column, message));
    }

    fn add(&mut self, fault: Fault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }

    /// Runs `read` one level deeper, at a member's name or an element's index.
    pub fn inside<T>(&mut self, token: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.pointer.len();
        self.pointer.push('/');
        self.pointer
            .push_str(&token.replace('~', "~0").replace('/', "~1"));
        let value = read(self);
        self.pointer.truncate(length);
        value
    }

    /// Returns the parsed value if there was no fault.
    ///
    /// # Errors
    /// `validation_failed` with every fault.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(self.problem()),
        }
    }

    /// The problem with every fault.
    #[must_use]
    pub fn problem(self) -> Problem {
        Problem::of_faults(self.faults)
    }
}
