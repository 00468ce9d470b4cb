//! What handlers answer with.

use domain::foundation::idempotency::Answer;
use serde::Serialize;

use crate::schema::problem::Problem;

/// The answer to a request that created something.
pub(super) fn created(location: String, view: &impl Serialize) -> Answer {
    Answer {
        status: 201,
        location: Some(location),
        body: json(view),
    }
}

/// The answer to a request that changed what was there.
pub(super) fn done(view: &impl Serialize) -> Answer {
    Answer {
        status: 200,
        location: None,
        body: json(view),
    }
}

/// A view as JSON. Views have text keys and no floats, so this cannot fail; if it did, the client would get no body.
pub(super) fn json(view: &impl Serialize) -> String {
    serde_json::to_string(view).unwrap_or_else(|error| {
        tracing::error!(%error, "a view is not JSON");
        String::new()
    })
}

pub(super) type Response = Result<actix_web::HttpResponse, Problem>;
