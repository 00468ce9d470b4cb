//! Handlers, one file per noun: its endpoints, and the JSON of its requests and responses.

mod aging;
mod allocations;
mod api_keys;
mod audit;
pub(crate) mod auth;
pub(crate) mod availability;
mod businesses;
pub(crate) mod checkout;
pub(crate) mod credit_notes;
pub(crate) mod customers;
pub(crate) mod dev;
mod disputes;
mod documents;
mod health;
mod imports;
mod inventory;
pub(crate) mod order_lists;
pub(crate) mod orders;
mod overdue;
pub(crate) mod passwords;
mod payments;
mod payouts;
pub(crate) mod pictures;
pub(crate) mod products;
pub(crate) mod purchase;
mod refunds;
mod reports;
pub(crate) mod reservations;
mod sales;
pub(crate) mod statements;
mod users;
mod webhooks;
pub(crate) mod write_offs;

use crate::schema::endpoint::{Endpoint, Tag};

pub(crate) use health::configure as configure_health;

/// All endpoints below `/api`, with the OpenAPI tag of each file.
#[must_use]
pub(crate) fn endpoints() -> Vec<(Tag, Vec<Endpoint>)> {
    vec![
        (Tag::Authentication, auth::endpoints()),
        (Tag::Businesses, businesses::endpoints()),
        (Tag::Authentication, passwords::endpoints()),
        (Tag::Users, users::endpoints()),
        (Tag::ApiKeys, api_keys::endpoints()),
        (Tag::Customers, customers::endpoints()),
        (Tag::Receivables, overdue::endpoints()),
        (Tag::Receivables, statements::endpoints()),
        (Tag::Receivables, aging::endpoints()),
        (Tag::Reports, reports::endpoints()),
        (Tag::Products, products::endpoints()),
        (Tag::Products, pictures::endpoints()),
        (Tag::Products, availability::endpoints()),
        (Tag::Inventory, inventory::endpoints()),
        (Tag::Sales, sales::endpoints()),
        (Tag::Orders, purchase::endpoints()),
        (Tag::Reservations, reservations::endpoints()),
        (Tag::Orders, checkout::endpoints()),
        (Tag::Orders, order_lists::endpoints()),
        (Tag::Orders, orders::endpoints()),
        (Tag::Orders, refunds::endpoints()),
        (Tag::Orders, disputes::endpoints()),
        (Tag::Receivables, payments::endpoints()),
        (Tag::Receivables, payouts::endpoints()),
        (Tag::Receivables, credit_notes::endpoints()),
        (Tag::Receivables, write_offs::endpoints()),
        (Tag::Receivables, allocations::endpoints()),
        (Tag::Imports, imports::endpoints()),
        (Tag::Audit, audit::endpoints()),
        (Tag::Webhooks, webhooks::endpoints()),
        (Tag::Simulation, dev::endpoints()),
    ]
}
