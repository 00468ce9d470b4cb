//! Rows of an imported table, and the faults that only the books of the business can show.
//!
//! An import is all or nothing: every fault is found first, then every row is written in one transaction. A dry run
//! finds the same faults under the same locks and writes nothing.

use chrono::NaiveDate;

/// The rows that one statement writes. Bounds the size of a message to the database.
pub(crate) const CHUNK: usize = 1000;

/// A row of an imported table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRow<T> {
    /// The line of the file on which the row begins; the header is on line 1.
    pub line: u64,
    /// The content.
    pub value: T,
}

impl<T> ImportRow<T> {
    /// The same row with other content.
    pub fn map<U>(self, into: impl FnOnce(T) -> U) -> ImportRow<U> {
        ImportRow {
            line: self.line,
            value: into(self.value),
        }
    }
}

/// A requested import.
#[derive(Debug, Clone)]
pub struct Import<T> {
    /// The rows in the order of the file.
    pub rows: Vec<ImportRow<T>>,
    /// Whether the rows are only checked.
    pub dry_run: bool,
}

/// The outcome of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The number of rows that were written; in a dry run, that could be written.
    pub rows: usize,
    /// Whether the rows were only checked.
    pub dry_run: bool,
}

impl<T> Import<T> {
    /// The outcome of this import once all its rows are accepted.
    pub(crate) fn outcome(&self) -> Imported {
        Imported {
            rows: self.rows.len(),
            dry_run: self.dry_run,
        }
    }
}

/// A cell that conflicts with another row or with the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// The line of its row.
    pub line: u64,
    /// The name of its column.
    pub column: &'static str,
    /// Why it is refused.
    pub reason: RowRefusal,
}

/// The reason why a cell is refused, as the end of a sentence that starts with the column's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowRefusal {
    /// The value is unique, and the books have it already.
    #[error("is already in use")]
    Taken,
    /// The value is unique, and an earlier row has it.
    #[error("is already on line {0}")]
    Repeated(u64),
    /// The business has no product with this SKU.
    #[error("is not the SKU of a product")]
    UnknownProduct,
    /// Fewer units were counted than are reserved.
    #[error("must be at least {0}, the units that are reserved")]
    BelowReserved(i64),
    /// More units would be on hand than one product may have.
    #[error("must leave at most {} units on hand", entity::inventory::MAX_ON_HAND)]
    StockLimit,
    /// The business has no such customer.
    #[error("belongs to no customer")]
    UnknownCustomer,
    /// Several customers of the business have this email address.
    #[error("belongs to several customers; the reference of one is needed")]
    SeveralCustomers,
    /// No document can have this date.
    #[error("{0}")]
    Date(String),
    /// The books are closed until this day.
    #[error("must not be before {0}, until which the books are closed")]
    PeriodClosed(NaiveDate),
    /// The customer's balance would be beyond what an account can hold.
    #[error("must leave a balance with at most 15 digits before the decimal mark")]
    BalanceLimit,
}
