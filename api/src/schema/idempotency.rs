//! The header `Idempotency-Key`: from a request to its idempotency key.
//!
//! Two requests are equal when method, path and query are equal and their bodies have the same canonical text. The
//! canonical text of a table is its bytes.

use actix_web::http::header::HeaderName;
use actix_web::{HttpRequest, web};
use domain::IdempotencyKey;
use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use uuid::Uuid;

use crate::schema::canonical::canonical;
use crate::schema::faults::At;
use crate::schema::problem::Problem;

/// The request header that carries the key.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The maximum length of a key, in characters.
pub const KEY_LENGTH: usize = 255;

/// Separates the key of [`Hasher`] from other uses of the service's secret. No token's text can equal it.
const PURPOSE: &[u8] = b"tradeline: hashes of requests";

/// Hashes requests with a key derived from the service's secret.
///
/// A request may contain a password, and its hash is stored for a day. Without the key, a reader of the table cannot
/// test passwords against it. Processes that share a secret compute equal hashes.
#[derive(Clone)]
pub struct Hasher(Hmac<Sha256>);

impl Hasher {
    /// # Errors
    /// The library's. HMAC accepts keys of any length, so none is expected.
    pub fn new(secret: &[u8]) -> Result<Self, InvalidLength> {
        let derived = Hmac::<Sha256>::new_from_slice(secret)?.chain_update(PURPOSE);
        let key = derived.finalize().into_bytes();
        Hmac::new_from_slice(&key).map(Self)
    }

    /// Hashes the parts, separated by zero bytes. Only the last part can contain one, so that no two lists of parts
    /// collide.
    fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hmac = self.0.clone();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                hmac.update(&[0]);
            }
            hmac.update(part);
        }
        hmac.finalize().into_bytes().into()
    }

    /// The hash of a request whose body has this canonical text.
    fn of_meaning(&self, req: &HttpRequest, meaning: &[u8]) -> [u8; 32] {
        let (method, path) = (req.method().as_str(), req.path());
        let query = req.query_string();
        self.hash(&[
            method.as_bytes(),
            path.as_bytes(),
            query.as_bytes(),
            meaning,
        ])
    }

    /// The hash that earlier versions stored: of the body's bytes.
    fn of_bytes(&self, req: &HttpRequest, body: &[u8]) -> [u8; 32] {
        self.hash(&[
            req.method().as_str().as_bytes(),
            req.path().as_bytes(),
            body,
        ])
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher(key not shown)")
    }
}

/// A request's JSON body, for [`key_of`].
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    /// The bytes as received.
    pub bytes: &'a [u8],
    /// The parsed value.
    pub value: &'a Value,
}

/// The idempotency key of a request with this body; `None` without the header. A malformed key is reported as a fault.
///
/// # Errors
/// The app's data has no [`Hasher`], which is a bug.
pub fn key_of(
    req: &HttpRequest,
    body: Body<'_>,
    at: &mut At,
) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(key) = header(req, at) else {
        return Ok(None);
    };
    let hasher = hasher(req)?;
    Ok(Some(IdempotencyKey {
        key,
        request_hash: hasher.of_meaning(req, canonical(body.value).as_bytes()),
        former_hash: Some(hasher.of_bytes(req, body.bytes)),
    }))
}

/// As [`key_of`], for a body that is a table or a file.
///
/// # Errors
/// The app's data has no [`Hasher`], which is a bug.
pub fn key_of_bytes(
    req: &HttpRequest,
    bytes: &[u8],
    at: &mut At,
) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(key) = header(req, at) else {
        return Ok(None);
    };
    Ok(Some(IdempotencyKey {
        key,
        request_hash: hasher(req)?.of_meaning(req, bytes),
        former_hash: None,
    }))
}

/// The idempotency key of a form, which has it in a field.
///
/// # Errors
/// The app's data has no [`Hasher`], which is a bug.
pub fn key_of_form(
    req: &HttpRequest,
    key: Uuid,
    fields: &Value,
) -> Result<IdempotencyKey, Problem> {
    Ok(IdempotencyKey {
        key: key.to_string(),
        request_hash: hasher(req)?.of_meaning(req, canonical(fields).as_bytes()),
        former_hash: None,
    })
}

/// The key in the request's header.
fn header(req: &HttpRequest, at: &mut At) -> Option<String> {
    let mut keys = req.headers().get_all(IDEMPOTENCY_KEY);
    let key = keys.next()?.as_bytes();
    let visible = key.iter().all(u8::is_ascii_graphic);
    if !visible || !(1..=KEY_LENGTH).contains(&key.len()) || keys.next().is_some() {
        let message = format!("must be one key of 1 to {KEY_LENGTH} visible ASCII characters");
        at.fault_at("Idempotency-Key", message);
        return None;
    }
    Some(String::from_utf8_lossy(key).into_owned())
}

fn hasher(req: &HttpRequest) -> Result<&web::Data<Hasher>, Problem> {
    req.app_data::<web::Data<Hasher>>().ok_or_else(|| {
        tracing::error!("the app lacks the hasher of requests");
        Problem::internal()
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_same_request_has_another_hash_under_another_secret_and_one_under_the_same() {
        let request = |uri: &str| TestRequest::post().uri(uri).to_http_request();
        let hash = |secret: &[u8], uri: &str, meaning: &str| {
            Hasher::new(secret)
                .unwrap()
                .of_meaning(&request(uri), meaning.as_bytes())
        };
        let one = hash(b"one", "/a", "{}");
        assert_eq!(one, hash(b"one", "/a", "{}"));
        assert_ne!(one, hash(b"two", "/a", "{}"));
        assert_ne!(one, hash(b"one", "/a", "[]"));
        assert_ne!(one, hash(b"one", "/a?dry_run=true", "{}"));
        assert_ne!(hash(b"one", "/a", "b"), hash(b"one", "/ab", ""));
        let hasher = Hasher::new(b"one").unwrap();
        assert_ne!(hasher.of_bytes(&request("/a"), b"{}"), one);
        assert_eq!(format!("{hasher:?}"), "Hasher(key not shown)");
    }
}
