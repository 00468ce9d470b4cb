//! Reading of bodies that are pictures.

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap};
use actix_web::{FromRequest, HttpRequest, mime};
use domain::IdempotencyKey;
use domain::catalogue::pictures::{FileType, Upload};

use crate::schema::body::{self, Accepted};
use crate::schema::faults::At;
use crate::schema::idempotency;
use crate::schema::problem::{Code, Problem};

/// The largest picture, in bytes.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;

/// The media types of pictures.
pub const MEDIA_TYPES: [&str; 3] = ["image/jpeg", "image/png", "image/webp"];

/// Whether the path takes a picture.
#[must_use]
pub fn is_for(path: &str) -> bool {
    path.starts_with("/api/products/") && path.ends_with("/picture")
}

/// A request with a picture as its body.
#[derive(Debug)]
pub struct PictureBody {
    /// The picture as it was sent.
    pub upload: Upload,
    /// The key under which a retry gets the original response, if the request has an `Idempotency-Key`.
    pub key: Option<IdempotencyKey>,
}

impl FromRequest for PictureBody {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        // A picture is compressed already.
        let accepted = Accepted {
            codings: &[],
            max_bytes: MAX_BYTES,
        };
        Box::pin(async move {
            let bytes = body::read_in_time(&req, payload, accepted).await?;
            let file_type = file_type(req.headers())?;
            let mut at = At::new(None);
            let key = idempotency::key_of_bytes(&req, &bytes, &mut at)?;
            at.finish(Some(Self {
                upload: Upload { file_type, bytes },
                key,
            }))
        })
    }
}

/// The type that the header says.
fn file_type(headers: &HeaderMap) -> Result<FileType, Problem> {
    let named = headers
        .get(CONTENT_TYPE)
        .and_then(|text| text.to_str().ok());
    let named = named.and_then(|text| text.parse::<mime::Mime>().ok());
    match named.as_ref().map(mime::Mime::essence_str) {
        Some("image/jpeg") => Ok(FileType::Jpeg),
        Some("image/png") => Ok(FileType::Png),
        Some("image/webp") => Ok(FileType::WebP),
        _ => {
            let detail = format!(
                "The Content-Type must be one of {}.",
                MEDIA_TYPES.join(", ")
            );
            Err(Problem::new(Code::UnsupportedMediaType, detail)
                .with("media_types", MEDIA_TYPES.to_vec()))
        }
    }
}
