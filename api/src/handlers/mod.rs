//! One file a noun: its endpoints, its handlers, and the JSON that they take and give.

mod aging;
mod api_keys;
mod auth;
mod businesses;
mod customers;
mod health;
mod inventory;
mod orders;
mod overdue;
mod products;
mod purchase;
mod statements;
mod users;

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
        inventory::endpoints(),
        purchase::endpoints(),
        orders::endpoints(),
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

/// A view as JSON. Views have text keys and no floats, so this cannot fail; if it did, the client would get no body.
fn json(view: &impl Serialize) -> String {
    serde_json::to_string(view).unwrap_or_else(|error| {
        tracing::error!(%error, "a view is not JSON");
        String::new()
    })
}

/// The id in a cursor that some list has given out.
fn id_of_cursor<T: std::str::FromStr>(
    query: &mut crate::query::Query,
    cursor: Option<&String>,
) -> Option<T> {
    let id = cursor?.parse();
    if id.is_err() {
        query.fault("cursor", "must be the next_cursor of an earlier page");
    }
    id.ok()
}

type Response = Result<actix_web::HttpResponse, Problem>;
