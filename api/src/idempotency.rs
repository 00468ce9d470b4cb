//! `Idempotency-Key`: from the header to the domain's claim, and from the domain's answer to the response.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, LOCATION};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use domain::idempotency::{Answer, Answered, Claim};
use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::body::At;
use crate::problem::Problem;

/// The header that carries the key.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The header of an answer that was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The longest key.
pub const KEY_LENGTH: usize = 255;

/// What the service's secret makes another key of, for [`Hasher`]. No token's text can be this.
const PURPOSE: &[u8] = b"tradeline: hashes of requests";

/// Hashes requests with a key that is made of the service's secret. A request may hold a password, and its hash is kept
/// for a day: without the key, whoever reads the table cannot try passwords on it. Processes that share a secret agree.
#[derive(Clone)]
pub struct Hasher(Hmac<Sha256>);

impl Hasher {
    /// # Errors
    /// The library's; HMAC takes a key of any length.
    pub fn new(secret: &[u8]) -> Result<Self, InvalidLength> {
        let derived = Hmac::<Sha256>::new_from_slice(secret)?.chain_update(PURPOSE);
        let key = derived.finalize().into_bytes();
        Hmac::new_from_slice(&key).map(Self)
    }

    /// A hash of everything that was asked. Neither method nor path can hold a zero, so the parts cannot run together.
    fn hash(&self, method: &str, path: &str, body: &[u8]) -> [u8; 32] {
        let hmac = self.0.clone();
        hmac.chain_update(method)
            .chain_update([0])
            .chain_update(path)
            .chain_update([0])
            .chain_update(body)
            .finalize()
            .into_bytes()
            .into()
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher(key not shown)")
    }
}

/// The claim of a request with this body, if it has a key. A bad key is a fault. The app's data must have a [`Hasher`].
///
/// # Errors
/// There is none: a bug.
pub fn claim(req: &HttpRequest, body: &[u8], at: &mut At) -> Result<Option<Claim>, Problem> {
    let mut keys = req.headers().get_all(IDEMPOTENCY_KEY);
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    let key = key.as_bytes();
    let visible = key.iter().all(u8::is_ascii_graphic);
    if !visible || !(1..=KEY_LENGTH).contains(&key.len()) || keys.next().is_some() {
        let message = format!("must be one key of 1 to {KEY_LENGTH} visible ASCII characters");
        at.fault_at("Idempotency-Key", message);
        return Ok(None);
    }
    let hasher = req.app_data::<web::Data<Hasher>>().ok_or_else(|| {
        tracing::error!("the app lacks what hashes requests");
        Problem::internal()
    })?;
    Ok(Some(Claim {
        key: String::from_utf8_lossy(key).into_owned(),
        request_hash: hasher.hash(req.method().as_str(), req.path(), body),
    }))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_request_has_another_hash_under_another_secret_and_one_under_the_same() {
        let hash = |secret: &[u8], body: &[u8]| {
            let hasher = Hasher::new(secret).unwrap();
            hasher.hash("POST", "/api/users", body)
        };
        assert_eq!(hash(b"one", b"{}"), hash(b"one", b"{}"));
        assert_ne!(hash(b"one", b"{}"), hash(b"two", b"{}"));
        assert_ne!(hash(b"one", b"{}"), hash(b"one", b"{ }"));
        let hasher = Hasher::new(b"one").unwrap();
        assert_ne!(
            hasher.hash("POST", "/a", b"b"),
            hasher.hash("POST", "/ab", b"")
        );
        assert_eq!(format!("{hasher:?}"), "Hasher(key not shown)");
    }
}
