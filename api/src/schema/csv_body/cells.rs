//! Parsers of cells.

use csv::StringRecord;
use entity::{InvalidMoney, Money};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use super::{Column, Rules};
use crate::schema::csv_text;
use crate::schema::faults::At;
use crate::schema::text::FromText;

/// A type that a cell can have.
pub trait FromCell: Sized {
    /// False when the column may be absent and the cell may be empty.
    const REQUIRED: bool = true;

    /// Parses the text of a cell, which is trimmed and not empty.
    ///
    /// # Errors
    /// The fault, as the end of a sentence that starts with the column's name.
    fn from_cell(text: &str, rules: Rules) -> Result<Self, String>;

    /// The value of an empty cell. `None` is a fault.
    fn empty() -> Option<Self> {
        None
    }
}

impl<T: FromText> FromCell for T {
    fn from_cell(text: &str, _: Rules) -> Result<Self, String> {
        T::from_text(text)
    }
}

impl<T: FromCell> FromCell for Option<T> {
    const REQUIRED: bool = false;

    fn from_cell(text: &str, rules: Rules) -> Result<Self, String> {
        T::from_cell(text, rules).map(Some)
    }

    fn empty() -> Option<Self> {
        Some(None)
    }
}

impl FromCell for Money {
    /// Parses the same amounts as in JSON. With a decimal comma, a point is not a decimal mark. Neither mark may group
    /// thousands, since a reader could mistake it for the other.
    fn from_cell(text: &str, rules: Rules) -> Result<Self, String> {
        let (plain, example) = match rules.decimal {
            DecimalMark::Point => (text.to_owned(), "12.50"),
            // A point becomes what is no mark at all.
            DecimalMark::Comma => (text.replace('.', " ").replace(',', "."), "12,50"),
        };
        Self::parse(&plain, rules.currency).map_err(|invalid| match invalid {
            InvalidMoney::NotDecimal => {
                format!("must be a decimal number such as \"{example}\"")
            }
            other => other.to_string(),
        })
    }
}

/// An amount in a cell that may be negative, and is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedMoney(Money);

impl SignedMoney {
    /// The amount.
    #[must_use]
    pub fn get(self) -> Money {
        self.0
    }
}

impl FromCell for SignedMoney {
    fn from_cell(text: &str, rules: Rules) -> Result<Self, String> {
        let (is_negative, plain) = match text.strip_prefix('-') {
            Some(plain) => (true, plain),
            None => (false, text),
        };
        // A second minus becomes what is no sign at all.
        let amount = Money::from_cell(&plain.replace('-', " "), rules)?;
        if amount == Money::ZERO {
            return Err("must not be 0".to_owned());
        }
        Ok(Self(if is_negative { -amount } else { amount }))
    }
}

/// The decimal mark of the amounts in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DecimalMark {
    /// `12.50`.
    #[default]
    Point,
    /// `12,50`.
    Comma,
}

impl DecimalMark {
    /// The query parameter that chooses it.
    pub const PARAMETER: &str = "decimal";

    const ALL: [(&str, Self); 2] = [("point", Self::Point), ("comma", Self::Comma)];
}

impl FromText for DecimalMark {
    fn from_text(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|(name, _)| *name == text);
        found
            .map(|(_, mark)| mark)
            .ok_or_else(|| "must be point or comma".to_owned())
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .enum_values(Some(Self::ALL.map(|(name, _)| name)))
            .into()
    }
}

/// True or false in a cell, in any case: spreadsheets write capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag(pub bool);

impl FromText for Flag {
    fn from_text(text: &str) -> Result<Self, String> {
        bool::from_text(&text.to_ascii_lowercase()).map(Self)
    }

    fn schema() -> RefOr<Schema> {
        bool::schema()
    }
}

/// The cells of a row, parsed in the order of the declared columns.
#[derive(Debug)]
pub struct Cells<'a> {
    pub(super) record: &'a StringRecord,
    pub(super) line: u64,
    /// The declared columns that are not parsed yet, each with its place in the file. `None` where the file lacks the
    /// column, which the header's check has reported.
    pub(super) columns: std::slice::Iter<'a, (Column, Option<usize>)>,
    pub(super) rules: Rules,
    pub(super) at: &'a mut At,
}

impl Cells<'_> {
    /// Parses the cell of the next column.
    pub fn take<T: FromCell>(&mut self) -> Option<T> {
        let (column, place) = self.columns.next()?;
        let Some(place) = place else {
            return T::empty();
        };
        let cell = self.record.get(*place).unwrap_or_default().trim();
        let text = csv_text::unprotected(cell);
        let read = match text {
            "" => T::empty().ok_or_else(|| "is required".to_owned()),
            text => T::from_cell(text, self.rules),
        };
        read.map_err(|message| {
            self.at.fault_in_row(self.line, Some(column.name), message);
        })
        .ok()
    }
}

/// Receives the faults of a row.
#[derive(Debug)]
pub struct RowFaults<'a> {
    pub(super) line: u64,
    pub(super) at: &'a mut At,
}

impl RowFaults<'_> {
    /// Reports a fault of the cell in this column.
    pub fn add(&mut self, column: &str, message: impl Into<String>) {
        self.at.fault_in_row(self.line, Some(column), message);
    }
}

#[cfg(test)]
mod tests {
    use entity::Currency;

    use super::*;

    fn read(text: &str, currency: &str, decimal: DecimalMark) -> Result<String, String> {
        let currency: Currency = currency.parse().unwrap();
        let amount = SignedMoney::from_cell(text, Rules { currency, decimal })?;
        Ok(amount.get().to_text(currency))
    }

    #[test]
    fn an_amount_has_one_sign_the_digits_of_its_currency_and_is_not_0() {
        use DecimalMark::{Comma, Point};

        for (text, currency, mark, expected) in [
            ("-12.5", "USD", Point, "-12.50"),
            ("-1234,5", "EUR", Comma, "-1234.50"),
            ("7", "JPY", Point, "7"),
            ("-0.001", "KWD", Point, "-0.001"),
            ("999999999999999.99", "USD", Point, "999999999999999.99"),
        ] {
            assert_eq!(read(text, currency, mark).as_deref(), Ok(expected));
        }
        for (text, currency, mark) in [
            ("0", "USD", Point),
            ("-0.00", "USD", Point),
            ("--1", "USD", Point),
            ("1-", "USD", Point),
            ("+1", "USD", Point),
            ("- 1", "USD", Point),
            ("(1)", "USD", Point),
            ("\u{2212}1", "USD", Point),
            ("1.5", "JPY", Point),
            ("-1.001", "USD", Point),
            ("-1.50", "EUR", Comma),
            ("-1000000000000000", "USD", Point),
        ] {
            assert!(read(text, currency, mark).is_err(), "{text}");
        }
    }
}
