//! How a table is written as CSV, for the program that is to read it.

use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use crate::schema::query::Query;
use crate::schema::text::FromText;

/// How a table is written, for the program that is to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dialect {
    pub(crate) bom: bool,
    pub(crate) separator: Separator,
}

/// What stands between two cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Separator {
    /// `,`, as RFC 4180 has it.
    #[default]
    Comma,
    /// `;`, which spreadsheets expect where the comma is the decimal point.
    Semicolon,
}

impl Separator {
    /// All of them: the name, the character, and what they are.
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
    /// The parameter that asks for a byte order mark.
    pub const BOM: &str = "bom";
    /// The parameter that chooses the separator.
    pub const SEPARATOR: &str = "separator";

    /// What the query asks for. Faults are reported by [`Query::finish`].
    pub fn take(query: &mut Query) -> Self {
        Self {
            bom: query.take(Self::BOM).unwrap_or_default(),
            separator: query.take(Self::SEPARATOR).unwrap_or_default(),
        }
    }
}
