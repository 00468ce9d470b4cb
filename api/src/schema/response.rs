//! Responses of handlers, and the only code that knows the format of stored responses.
//!
//! The response to a write is rendered to bytes before the commit, and stored with it if the request has an idempotency
//! key. The original and a replayed response are therefore made of the same bytes, by the same code.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, LOCATION};
use actix_web::{HttpResponse, HttpResponseBuilder};
use domain::{Outcome, StoredResponse};
use serde::Serialize;

use crate::schema::problem::Problem;

/// The header that marks a replayed response.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The first byte of a stored response. The status and the length of the location follow, two bytes each in big-endian
/// order, then the location, and the body as JSON. A change of the format needs a new number: retries find responses
/// that earlier versions stored, for a day.
const FORMAT: u8 = 1;

/// The number of bytes before the location.
const HEAD: usize = 5;

/// The result of a handler.
pub type Response = Result<HttpResponse, Problem>;

/// A value that a handler can respond with.
pub trait Answer {
    /// The response.
    ///
    /// # Errors
    /// The stored response cannot be read, which is a bug.
    fn into_response(self) -> Response;
}

/// Responds with 200 and this value as JSON.
#[derive(Debug)]
pub struct View<V>(pub V);

impl<V: Serialize> Answer for View<V> {
    fn into_response(self) -> Response {
        Ok(HttpResponse::Ok().json(self.0))
    }
}

/// Responds with 204.
impl Answer for () {
    fn into_response(self) -> Response {
        Ok(HttpResponse::NoContent().finish())
    }
}

/// Responds with what the write rendered, now or originally.
impl<T> Answer for Outcome<T> {
    fn into_response(self) -> Response {
        let stored = Stored::decode(self.response()).map_err(|malformed| {
            tracing::error!(%malformed, "a stored response cannot be read");
            Problem::internal()
        })?;
        let mut response = HttpResponseBuilder::new(stored.status);
        if !stored.body.is_empty() {
            response.insert_header((CONTENT_TYPE, "application/json"));
        }
        if let Some(location) = stored.location {
            response.insert_header((LOCATION, location));
        }
        if self.is_replayed() {
            response.insert_header((REPLAYED, "true"));
        }
        Ok(response.body(stored.body.to_vec()))
    }
}

/// The 201 response to a request that created a resource at this location.
#[must_use]
pub fn created(location: &str, view: &impl Serialize) -> StoredResponse {
    render(StatusCode::CREATED, Some(location), view)
}

/// The 202 response to a request whose result follows later at this location.
#[must_use]
pub fn accepted(location: &str, view: &impl Serialize) -> StoredResponse {
    render(StatusCode::ACCEPTED, Some(location), view)
}

/// The 200 response to a request that changed a resource.
#[must_use]
pub fn done(view: &impl Serialize) -> StoredResponse {
    render(StatusCode::OK, None, view)
}

/// The 204 response to a write that has nothing to show.
#[must_use]
pub fn no_content() -> StoredResponse {
    let stored = Stored {
        status: StatusCode::NO_CONTENT,
        location: None,
        body: b"",
    };
    stored.encode()
}

/// The 303 response to a form whose effect is shown at this location.
#[must_use]
pub fn see_other(location: &str) -> StoredResponse {
    let stored = Stored {
        status: StatusCode::SEE_OTHER,
        location: Some(location),
        body: b"",
    };
    stored.encode()
}

fn render(status: StatusCode, location: Option<&str>, view: &impl Serialize) -> StoredResponse {
    let body = json(view);
    let stored = Stored {
        status,
        location,
        body: body.as_bytes(),
    };
    stored.encode()
}

/// A view as JSON. Views have text keys and no floats, so this cannot fail. If it did, the body would be empty.
#[must_use]
pub fn json(view: &impl Serialize) -> String {
    serde_json::to_string(view).unwrap_or_else(|error| {
        tracing::error!(%error, "a view cannot be serialized as JSON");
        String::new()
    })
}

/// The parts of a stored response.
#[derive(Debug, PartialEq, Eq)]
struct Stored<'a> {
    status: StatusCode,
    location: Option<&'a str>,
    body: &'a [u8],
}

/// Why bytes are not a stored response.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Malformed {
    #[error("the format {0:?} is not known")]
    Format(Option<u8>),
    #[error("it ends early")]
    Truncated,
    #[error("{0} is not an HTTP status")]
    Status(u16),
    #[error("its location is not text")]
    Location,
}

impl<'a> Stored<'a> {
    fn encode(&self) -> StoredResponse {
        let location = self.location.unwrap_or_default();
        // Locations are short paths with an id, so the length always fits.
        let length = u16::try_from(location.len()).unwrap_or(u16::MAX);
        let location = location.as_bytes().get(..length.into());
        let location = location.unwrap_or_default();
        let mut bytes = Vec::with_capacity(HEAD + location.len() + self.body.len());
        bytes.push(FORMAT);
        bytes.extend(self.status.as_u16().to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(location);
        bytes.extend(self.body);
        StoredResponse::new(bytes)
    }

    fn decode(response: &'a StoredResponse) -> Result<Self, Malformed> {
        let bytes = response.bytes();
        let format = bytes.first().copied();
        if format != Some(FORMAT) {
            return Err(Malformed::Format(format));
        }
        let Some((&[_, s0, s1, l0, l1], rest)) = bytes.split_first_chunk::<HEAD>() else {
            return Err(Malformed::Truncated);
        };
        let status = u16::from_be_bytes([s0, s1]);
        let length = u16::from_be_bytes([l0, l1]);
        let (location, body) = rest
            .split_at_checked(length.into())
            .ok_or(Malformed::Truncated)?;
        let location = str::from_utf8(location).map_err(|_not_text| Malformed::Location)?;
        Ok(Self {
            status: StatusCode::from_u16(status).map_err(|_unknown| Malformed::Status(status))?,
            location: (!location.is_empty()).then_some(location),
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use serde_json::json;

    use super::*;

    fn decoded(bytes: &[u8]) -> Result<(u16, Option<String>, Vec<u8>), Malformed> {
        let stored = StoredResponse::new(bytes);
        let stored = Stored::decode(&stored)?;
        let location = stored.location.map(str::to_owned);
        Ok((stored.status.as_u16(), location, stored.body.to_vec()))
    }

    #[test]
    fn a_stored_response_has_the_bytes_that_the_schema_makes_of_earlier_ones() {
        let stored = created("/api/a", &json!({"a": "é"}));
        let mut expected = b"\x01\x00\xc9\x00\x06/api/a".to_vec();
        expected.extend("{\"a\":\"é\"}".as_bytes());
        assert_eq!(stored.bytes(), expected);
        assert_eq!(done(&json!({})).bytes(), b"\x01\x00\xc8\x00\x00{}");
    }

    #[actix_web::test]
    async fn a_replayed_response_differs_from_the_original_by_its_header_alone() {
        let original = accepted("/api/a", &json!({"a": 1}));
        let replayed: Outcome<()> = Outcome::Replayed(original.clone());
        let done = Outcome::Done {
            value: (),
            response: original,
        };
        let mut bodies = Vec::new();
        for (outcome, header) in [(done, None), (replayed, Some("true"))] {
            let response = outcome.into_response().unwrap();
            assert_eq!(response.status(), StatusCode::ACCEPTED);
            assert_eq!(response.headers().get(LOCATION).unwrap(), "/api/a");
            let replayed = response.headers().get(REPLAYED);
            assert_eq!(replayed.map(|value| value.to_str().unwrap()), header);
            bodies.push(to_bytes(response.into_body()).await.unwrap());
        }
        assert_eq!(bodies, [r#"{"a":1}"#, r#"{"a":1}"#]);
    }

    #[test]
    fn a_record_that_is_no_stored_response_is_reported_and_gets_500() {
        for (bytes, malformed) in [
            (b"".as_slice(), Malformed::Format(None)),
            (b"\x02\x00\xc8\x00\x00{}", Malformed::Format(Some(2))),
            (b"\x01\x00\xc8\x00", Malformed::Truncated),
            (b"\x01\x00\xc8\x00\x07/api/a", Malformed::Truncated),
            (b"\x01\x00\x07\x00\x00{}", Malformed::Status(7)),
            (b"\x01\x00\xc8\x00\x01\xff{}", Malformed::Location),
        ] {
            assert_eq!(decoded(bytes), Err(malformed));
            let outcome: Outcome<()> = Outcome::Replayed(StoredResponse::new(bytes));
            let problem = outcome.into_response().unwrap_err();
            assert_eq!(problem.code().text(), "internal_error");
        }
    }
}
