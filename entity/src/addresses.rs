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

impl CustomerAddresses {
    /// The most addresses of a customer.
    pub const MAX: usize = 20;
}
