//! The CSV dialect that a request asks for.

use std::str::FromStr;

use domain::Paging;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use crate::schema::content_negotiation::Form;
use crate::schema::problem::Problem;
use crate::schema::query::Query;
use crate::schema::text::FromText;

/// The dialect of a CSV table, so that the client's program can read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dialect {
    pub(crate) bom: bool,
    pub(crate) separator: Separator,
}

/// The character between two cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Separator {
    /// `,` as in RFC 4180.
    #[default]
    Comma,
    /// `;`, which spreadsheets expect where the comma is the decimal point.
    Semicolon,
}

impl Separator {
    /// Each separator as its name, its character and its value.
    const ALL: [(&str, &str, Self); 2] = [
        ("comma", ",", Self::Comma),
        ("semicolon", ";", Self::Semicolon),
    ];
}

impl FromText for Separator {
    fn from_text(text: &str) -> Result<Self, String> {
        let mut known = Self::ALL.into_iter();
        let found = known.find(|(name, character, _)| [*name, *character].contains(&text));
        found
            .map(|(_, _, separator)| separator)
            .ok_or_else(|| "must be comma or semicolon".to_owned())
    }

    fn schema() -> RefOr<Schema> {
        let words = Self::ALL
            .into_iter()
            .flat_map(|(name, character, _)| [name, character]);
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .enum_values(Some(words))
            .into()
    }
}

impl Dialect {
    /// The query parameter that asks for a byte order mark.
    pub const BOM: &str = "bom";
    /// The query parameter that chooses the separator.
    pub const SEPARATOR: &str = "separator";

    /// Reads the dialect from the query. [`Query::finish`] reports its faults.
    pub fn take(query: &mut Query) -> Self {
        Self {
            bom: query.take(Self::BOM).unwrap_or_default(),
            separator: query.take(Self::SEPARATOR).unwrap_or_default(),
        }
    }
}

/// The form in which a request asks for a list.
#[derive(Debug)]
pub enum Requested<K> {
    /// A page as JSON.
    Page(Paging<K>),
    /// The whole list as CSV, which has no pages.
    Table(Dialect),
}

impl<K: FromStr> Requested<K> {
    /// Reads the rest of the query, after the parameters of the list itself.
    ///
    /// # Errors
    /// Those of [`Query::finish`].
    pub fn take(form: Form, mut query: Query) -> Result<Self, Problem> {
        let dialect = Dialect::take(&mut query);
        let requested = match form {
            Form::Csv => {
                query.refuse_paging();
                Self::Table(dialect)
            }
            Form::Json => Self::Page(query.paging()),
        };
        query.finish()?;
        Ok(requested)
    }
}
