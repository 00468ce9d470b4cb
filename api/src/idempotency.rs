//! `Idempotency-Key`: from the header to the domain's claim, and from the domain's answer to the response.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, LOCATION};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use domain::idempotency::{Answer, Answered, Claim};
use sha2::{Digest, Sha256};

use crate::body::At;

/// The header that carries the key.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The header of an answer that was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The longest key.
pub const KEY_LENGTH: usize = 255;

/// The claim of a request with this body, if it has a key. A bad key is a fault.
pub fn claim(req: &HttpRequest, body: &[u8], at: &mut At) -> Option<Claim> {
    let mut keys = req.headers().get_all(IDEMPOTENCY_KEY);
    let key = keys.next()?.as_bytes();
    let visible = key.iter().all(u8::is_ascii_graphic);
    if !visible || !(1..=KEY_LENGTH).contains(&key.len()) || keys.next().is_some() {
        let message = format!("must be one key of 1 to {KEY_LENGTH} visible ASCII characters");
        at.fault_at("Idempotency-Key", message);
        return None;
    }
    Some(Claim {
        key: String::from_utf8_lossy(key).into_owned(),
        request_hash: request_hash(req.method().as_str(), req.path(), body),
    })
}

/// A hash of everything that was asked. Neither method nor path can hold a zero, so the parts cannot run together.
fn request_hash(method: &str, path: &str, body: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(method)
        .chain_update([0])
        .chain_update(path)
        .chain_update([0])
        .chain_update(body)
        .finalize()
        .into()
}

/// The response that says what the domain has answered, byte for byte.
#[must_use]
pub fn response(answered: Answered) -> HttpResponse {
    let Answer {
        status,
        location,
        body,
    } = answered.answer;
    let Ok(status) = StatusCode::from_u16(status) else {
        tracing::error!(status, "a kept answer has no HTTP status");
        return HttpResponse::InternalServerError().finish();
    };
    let mut response = HttpResponseBuilder::new(status);
    response.insert_header((CONTENT_TYPE, "application/json"));
    if let Some(location) = location {
        response.insert_header((LOCATION, location));
    }
    if answered.replayed {
        response.insert_header((REPLAYED, "true"));
    }
    response.body(body)
}
