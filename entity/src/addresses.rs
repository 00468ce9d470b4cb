//! Postal addresses.

use sea_orm::FromJsonQueryResult;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A postal address. Its parts are printed in the order of the fields; countries differ in what they need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
#[schema(example = json!({
    "name": "Ada Lovelace", "line1": "12 St James's Square", "postal_code": "SW1Y 4JH", "city": "London",
    "country": "GB",
}))]
pub struct Address {
    /// The person or company; null for the customer's own name.
    pub name: Option<String>,
    pub line1: String,
    pub line2: Option<String>,
    pub postal_code: Option<String>,
    pub city: Option<String>,
    /// The state, province or prefecture.
    pub region: Option<String>,
    /// The country's two letters of ISO 3166-1.
    pub country: String,
}

/// The use of a customer's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AddressKind {
    /// For invoices and statements.
    Billing,
    /// For goods.
    Delivery,
}

/// An address of a customer, with its use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CustomerAddress {
    pub kind: AddressKind,
    #[serde(flatten)]
    pub address: Address,
}

/// The addresses of a customer, at most [`CustomerAddresses::MAX`]. The first of a kind is its default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, FromJsonQueryResult)]
#[serde(transparent)]
pub struct CustomerAddresses(pub Vec<CustomerAddress>);

impl Address {
    /// Whether these are the two letters of a country of ISO 3166-1, in upper case.
    #[must_use]
    pub fn is_country(code: &str) -> bool {
        code.len() == 2 && code.parse::<iso_currency::Country>().is_ok()
    }
}

impl CustomerAddresses {
    /// The most addresses of a customer.
    pub const MAX: usize = 20;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_the_249_of_iso_3166_1() {
        let letters = || (b'A'..=b'Z').map(char::from);
        let codes = letters().flat_map(|first| letters().map(move |last| format!("{first}{last}")));
        assert_eq!(codes.filter(|code| Address::is_country(code)).count(), 249);
        for country in ["AX", "CH", "CW", "DE", "GB", "SS", "TW", "US"] {
            assert!(Address::is_country(country), "{country}");
        }
        for other in ["", "de", "DEU", "UK", "EU", "XX", "D"] {
            assert!(!Address::is_country(other), "{other}");
        }
    }
}
