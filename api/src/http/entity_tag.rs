//! Entity tags: a client that has a response already gets 304 without a body.
//!
//! A tag is a hash of the body as it is now, so whatever the body depends on, the tag does too. It is weak, because the
//! body may be sent compressed.

use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, EntityTag, Header, IfNoneMatch};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use sha2::{Digest, Sha256};

/// The bytes of a hash that a tag shows.
const TAG_BYTES: usize = 8;

/// The tags of the responses that the client has (`If-None-Match`).
#[derive(Debug, Default)]
pub struct KnownTags(Vec<EntityTag>);

impl KnownTags {
    /// The tags that the request names. `*` is none: it is about whether something exists.
    #[must_use]
    pub fn of(req: &HttpRequest) -> Self {
        match IfNoneMatch::parse(req) {
            Ok(IfNoneMatch::Items(tags)) => Self(tags),
            Ok(IfNoneMatch::Any) | Err(_) => Self::default(),
        }
    }

    /// A response with this body, or 304 if the client has it. A client may keep it, and must ask for it again.
    pub fn answer(&self, content_type: &'static str, body: String) -> HttpResponse {
        let tag = tag_of(&body);
        let is_known = self.0.iter().any(|known| known.weak_eq(&tag));
        let mut response = match is_known {
            true => HttpResponse::NotModified(),
            false => HttpResponse::Ok(),
        };
        response.insert_header((CACHE_CONTROL, "private, no-cache"));
        response.insert_header((ETAG, tag.to_string()));
        match is_known {
            true => response.finish(),
            false => response
                .insert_header((CONTENT_TYPE, content_type))
                .body(body),
        }
    }
}

fn tag_of(body: &str) -> EntityTag {
    let digest = Sha256::digest(body);
    let digits = digest.iter().take(TAG_BYTES);
    let digits: String = digits.map(|byte| format!("{byte:02x}")).collect();
    EntityTag::new_weak(digits)
}

impl FromRequest for KnownTags {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(req)))
    }
}
