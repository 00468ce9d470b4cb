//! The arguments of `tradeline create-business`.

use clap::Args;
use entity::{Currency, TimeZone};

use crate::schema::text::{Email, FromText, Slug, Text};

/// The business to create.
#[derive(Debug, Clone, Args)]
pub struct BusinessRequest {
    /// The name on documents.
    #[arg(long, value_parser = parsed::<Text<1, 200>>)]
    pub name: Text<1, 200>,
    /// The name in URLs, which can never change: lower-case letters, digits and hyphens.
    #[arg(long, value_parser = parsed::<Slug>)]
    pub slug: Slug,
    /// The currency of all amounts, which can never change, such as EUR.
    #[arg(long, value_parser = parsed::<Currency>)]
    pub currency: Currency,
    /// The time zone of the business's days, as an IANA name such as Europe/Paris.
    #[arg(long, value_parser = parsed::<TimeZone>, default_value = "UTC")]
    pub time_zone: TimeZone,
    /// The e-mail address with which the first admin logs in.
    #[arg(long, value_parser = parsed::<Email>, value_name = "EMAIL")]
    pub admin_email: Email,
}

fn parsed<T: FromText>(text: &str) -> Result<T, String> {
    T::from_text(text)
}
