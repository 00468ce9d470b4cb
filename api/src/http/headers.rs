//! Headers that protect browsers, and CORS: which pages of other origins may read responses.
//!
//! `Strict-Transport-Security` is absent: the service speaks plain HTTP, over which browsers ignore it. The proxy that
//! terminates TLS must send it.

use std::str::FromStr;

use actix_cors::{Cors, CorsError};
use actix_web::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::http::{Method, Uri};

use crate::schema::endpoint::{BASE, is_page};
use crate::schema::problem::{Code, Problem};
use crate::schema::{idempotency, response};

/// The policy of API responses. They are data: nothing in them may run, be framed or be loaded from elsewhere.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// The policy of the pages. Nothing comes from elsewhere, and nothing in a page itself is a script or a style.
const PAGES: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The policy of the page on which Stripe takes a card: the pages' own, and what Stripe's script needs
/// (<https://docs.stripe.com/security/guide#content-security-policy>). Its handler sets it.
pub const STRIPE_PAGE: &str = "default-src 'none'; script-src 'self' https://js.stripe.com https://*.js.stripe.com; \
                               frame-src https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com; \
                               style-src 'self'; img-src 'self'; connect-src 'self' https://api.stripe.com; \
                               form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The policy of the page that displays the OpenAPI document. It runs its own scripts, which write its styles.
const DOCS_PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                         img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                         frame-ancestors 'none'";

/// The time for which a browser may cache the response to a preflight, in seconds.
const PREFLIGHT_SECONDS: usize = 3600;

/// Adds the headers to a response for this path.
pub fn secure(headers: &mut HeaderMap, path: &str) {
    let is_page = is_page(path);
    let policy = match path == "/docs" || path.starts_with("/docs/") {
        true => DOCS_PAGE,
        false if is_page => PAGES,
        false => NOTHING,
    };
    // With `no-referrer`, a form of a page would be sent with `Origin: null`.
    let referrers = if is_page {
        "same-origin"
    } else {
        "no-referrer"
    };
    // A picture and the page of Stripe's form have policies of their own.
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static(referrers));
    // Data of a business or a caller must not be cached, unless its handler allows it.
    if (path.starts_with(BASE) || is_page) && !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// An origin as browsers write it: `https://shop.example`, `http://localhost:5173`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrigin(String);

/// The text is not an origin. A wildcard is not one either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a scheme and a host as browsers write them, such as https://shop.example or http://localhost:5173, \
     without a path and without *"
)]
pub struct BadOrigin;

impl WebOrigin {
    /// The origin as browsers send it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether its scheme is https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl FromStr for WebOrigin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let uri: Uri = text.parse().map_err(|_no_uri| BadOrigin)?;
        let scheme = uri.scheme_str().ok_or(BadOrigin)?;
        let authority = uri.authority().ok_or(BadOrigin)?.as_str();
        let host = authority.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte)
        });
        // Browsers omit the default port of the scheme. An origin with that port would never match.
        let own_port = if scheme == "https" { ":443" } else { ":80" };
        let exact = format!("{scheme}://{authority}") == text && !authority.ends_with(own_port);
        (exact && host && ["http", "https"].contains(&scheme))
            .then(|| Self(text.to_owned()))
            .ok_or(BadOrigin)
    }
}

/// The methods that pages may use.
const PAGES_METHODS: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];

/// The header with which a page resumes an event stream.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The headers that pages may send, in addition to those that are always allowed.
const PAGES_HEADERS: [HeaderName; 7] = [
    AUTHORIZATION,
    CONTENT_ENCODING,
    CONTENT_TYPE,
    idempotency::IDEMPOTENCY_KEY,
    LAST_EVENT_ID,
    REQUEST_ID,
    BUSINESS_ID,
];

/// The problem for a page that may not make its request. It is written for the page's developer.
#[must_use]
pub fn cors_refusal(error: &CorsError) -> Problem {
    let detail = match error {
        CorsError::OriginNotAllowed => {
            "The page's origin is not among TRADELINE_CORS_ORIGINS.".to_owned()
        }
        CorsError::MethodNotAllowed => {
            let methods = PAGES_METHODS.map(|method| method.to_string()).join(", ");
            format!("Access-Control-Request-Method must be one of {methods}.")
        }
        CorsError::HeadersNotAllowed => {
            let names = PAGES_HEADERS.map(|name| name.to_string()).join(", ");
            format!("Access-Control-Request-Headers may name {names}.")
        }
        other => format!("The preflight request cannot be read: {other}."),
    };
    Problem::new(Code::CorsRefused, detail)
}

/// The middleware that lets pages of these origins call the API and rejects others. Pages must send a token: cookies,
/// which a browser sends on its own, are not allowed and have no meaning here.
pub fn cors(origins: &[WebOrigin]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(PAGES_METHODS)
        .allowed_headers(PAGES_HEADERS)
        .max_age(PREFLIGHT_SECONDS);
    if origins.is_empty() {
        // No response depends on the origin.
        return cors.disable_vary_header();
    }
    let cors = cors.expose_headers([
        CONTENT_DISPOSITION,
        LOCATION,
        RETRY_AFTER,
        response::REPLAYED,
        REQUEST_ID,
    ]);
    origins
        .iter()
        .fold(cors, |cors, WebOrigin(origin)| cors.allowed_origin(origin))
}

/// The header that may repeat the caller's business.
pub const BUSINESS_ID: HeaderName = HeaderName::from_static("x-business-id");

/// The header of the request's id, in requests and responses.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_exact() {
        for good in [
            "https://shop.example",
            "http://localhost:5173",
            "https://[::1]:8443",
        ] {
            assert_eq!(good.parse(), Ok(WebOrigin(good.to_owned())));
        }
        for bad in [
            "*",
            "null",
            "",
            "shop.example",
            "https://*.shop.example",
            "https://shop.example/",
            "https://shop.example/path",
            "https://Shop.example",
            "https://user@shop.example",
            "https://shop.example:443",
            "http://shop.example:80",
            "ftp://shop.example",
            "https://",
        ] {
            assert_eq!(bad.parse::<WebOrigin>(), Err(BadOrigin), "{bad}");
        }
    }
}
