//! One file a noun: its endpoints, its handlers, and the JSON that they take and give.

mod aging;
mod allocations;
mod api_keys;
mod audit;
mod auth;
mod availability;
mod businesses;
mod checkout;
mod credit_notes;
mod customers;
mod dev;
mod health;
mod inventory;
mod orders;
mod overdue;
mod payments;
mod products;
mod purchase;
mod reservations;
mod sales;
mod statements;
mod users;
mod webhooks;
mod write_offs;

use domain::idempotency::Answer;
use serde::Serialize;

use crate::endpoint::Endpoint;
use crate::problem::Problem;

pub(crate) use health::configure as configure_health;

/// Everything below `/api`.
#[must_use]
pub(crate) fn endpoints() -> Vec<Endpoint> {
    [
        auth::endpoints(),
        businesses::endpoints(),
        users::endpoints(),
        api_keys::endpoints(),
        customers::endpoints(),
        overdue::endpoints(),
        statements::endpoints(),
        aging::endpoints(),
        products::endpoints(),
        availability::endpoints(),
        inventory::endpoints(),
        sales::endpoints(),
        purchase::endpoints(),
        reservations::endpoints(),
        checkout::endpoints(),
        orders::endpoints(),
        payments::endpoints(),
        credit_notes::endpoints(),
        write_offs::endpoints(),
        allocations::endpoints(),
        audit::endpoints(),
        webhooks::endpoints(),
        dev::endpoints(),
    ]
    .concat()
}

/// The answer to a request that created something.
fn created(location: String, view: &impl Serialize) -> Answer {
    Answer {
        status: 201,
        location: Some(location),
        body: json(view),
    }
}

/// The answer to a request that changed what was there.
fn done(view: &impl Serialize) -> Answer {
    Answer {
        status: 200,
        location: None,
        body: json(view),
    }
}

/// A view as JSON. Views have text keys and no floats, so this cannot fail; if it did, the client would get no body.
fn json(view: &impl Serialize) -> String {
    serde_json::to_string(view).unwrap_or_else(|error| {
        tracing::error!(%error, "a view is not JSON");
        String::new()
    })
}

type Response = Result<actix_web::HttpResponse, Problem>;
