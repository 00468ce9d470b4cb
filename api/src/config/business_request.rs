//! A business to make, as the command line has it.

use clap::Args;
use entity::{Currency, TimeZone};

use crate::schema::text::{Email, FromText, Slug, Text};

/// A business to make.
#[derive(Debug, Clone, Args)]
pub struct BusinessRequest {
    /// The name on documents.
    #[arg(long, value_parser = parsed::<Text<1, 200>>)]
    pub name: Text<1, 200>,
    /// The name in addresses, for ever: lower-case letters, digits and hyphens.
    #[arg(long, value_parser = parsed::<Slug>)]
    pub slug: Slug,
    /// The currency of all its amounts, for ever, such as EUR.
    #[arg(long, value_parser = parsed::<Currency>)]
    pub currency: Currency,
    /// The time zone of its days, by its name in the IANA database, such as Europe/Paris.
    #[arg(long, value_parser = parsed::<TimeZone>, default_value = "UTC")]
    pub time_zone: TimeZone,
    /// The address that its first admin logs in with.
    #[arg(long, value_parser = parsed::<Email>, value_name = "EMAIL")]
    pub admin_email: Email,
}

fn parsed<T: FromText>(text: &str) -> Result<T, String> {
    T::from_text(text)
}
