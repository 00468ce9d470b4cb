//! Gzip compression of responses, for clients that accept it.
//!
//! Only responses to GET are compressed. The response to a POST may contain a new token or key. The length of a
//! compressed response reveals something of a secret that stands next to text chosen by others (BREACH). Not compressed
//! either:
//!
//! - event streams, whose events must not wait for each other;
//! - responses below [`MIN_BYTES`], which would hardly shrink;
//! - responses above [`MAX_BYTES`].
//!
//! The files of the page `/docs/` are stored compressed. They are decompressed for clients that do not accept gzip.

use std::io::{Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::ErrorInternalServerError;
use actix_web::http::header::{
    ACCEPT_ENCODING, AcceptEncoding, CONTENT_ENCODING, CONTENT_TYPE, Encoding, Header, HeaderMap,
    HeaderValue, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpRequest};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// The smallest response that is compressed, in bytes.
const MIN_BYTES: u64 = 1024;
/// The largest response that is compressed in one piece, in bytes. It occupies the worker's thread for about 10 ms. A
/// stream of any length is compressed part by part.
const MAX_BYTES: u64 = 1024 * 1024;

/// The middleware, for [`actix_web::middleware::from_fn`].
///
/// # Errors
/// Those of the wrapped service.
pub async fn answers(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let reads = *req.method() == Method::GET;
    let response = next.call(req).await?.map_into_boxed_body();
    if response.headers().contains_key(CONTENT_ENCODING) {
        return stored(response);
    }
    if !reads || response.status() != StatusCode::OK || !is_compressible(&response) {
        return Ok(response);
    }
    let wanted = is_wanted(response.request());
    let (request, response) = response.into_parts();
    let (mut response, body) = response.into_parts();
    // Added in both cases: another client may get the other form.
    response
        .headers_mut()
        .append(VARY, HeaderValue::from_name(ACCEPT_ENCODING));
    if !wanted {
        return Ok(ServiceResponse::new(request, response.set_body(body)));
    }
    let body = compressed(body)?;
    response
        .headers_mut()
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Ok(ServiceResponse::new(request, response.set_body(body)))
}

/// A response with a body that is stored compressed.
fn stored(response: ServiceResponse<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    let wanted = is_wanted(response.request());
    let (request, response) = response.into_parts();
    let (mut response, mut body) = response.into_parts();
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_name(ACCEPT_ENCODING));
    if !wanted {
        headers.remove(CONTENT_ENCODING);
        body = match body.try_into_bytes() {
            Ok(compressed) => {
                let mut plain = Vec::new();
                GzDecoder::new(&*compressed).read_to_end(&mut plain)?;
                BoxBody::new(plain)
            }
            // Only files have the header, and a file is one piece.
            Err(_stream) => return Err(ErrorInternalServerError("a stored body is a stream")),
        };
    }
    Ok(ServiceResponse::new(request, response.set_body(body)))
}

/// Whether compression is allowed for the response and would shrink it.
fn is_compressible(response: &ServiceResponse<BoxBody>) -> bool {
    let headers = response.headers();
    let fit = match response.response().body().size() {
        BodySize::None => false,
        BodySize::Sized(bytes) => (MIN_BYTES..=MAX_BYTES).contains(&bytes),
        BodySize::Stream => true,
    };
    fit && is_text(headers)
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default();
    matches!(kind, "application/json" | "application/javascript")
        || (kind.starts_with("text/") && kind != "text/event-stream")
}

/// Whether the client prefers gzip to no encoding.
fn is_wanted(req: &HttpRequest) -> bool {
    let known = [Encoding::gzip(), Encoding::identity()];
    AcceptEncoding::parse(req)
        .ok()
        .and_then(|accepted| accepted.negotiate(known.iter()))
        .is_some_and(|chosen| chosen == Encoding::gzip())
}

/// The compressed body: at once if it is complete, otherwise part by part.
fn compressed(body: BoxBody) -> Result<BoxBody, Error> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    match body.try_into_bytes() {
        Ok(bytes) => {
            encoder.write_all(&bytes)?;
            Ok(BoxBody::new(encoder.finish()?))
        }
        Err(stream) => Ok(BoxBody::new(Parts {
            stream,
            encoder: Some(encoder),
        })),
    }
}

/// A compressed stream. Each part can be decompressed when it arrives. A stream that fails stays incomplete.
struct Parts {
    stream: BoxBody,
    /// `None` after the end of the stream.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl MessageBody for Parts {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        loop {
            let Some(encoder) = &mut this.encoder else {
                return Poll::Ready(None);
            };
            let part = match ready!(Pin::new(&mut this.stream).poll_next(context)) {
                Some(Ok(part)) => part,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    let last = this.encoder.take().map(GzEncoder::finish).transpose();
                    return Poll::Ready(
                        last.map(|last| last.map(Bytes::from))
                            .map_err(Into::into)
                            .transpose(),
                    );
                }
            };
            encoder.write_all(&part)?;
            encoder.flush()?;
            let written = std::mem::take(encoder.get_mut());
            if !written.is_empty() {
                return Poll::Ready(Some(Ok(written.into())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use actix_web::test::TestRequest;
    use futures_util::stream;

    use super::*;

    fn wants(accepted: &str) -> bool {
        let request = TestRequest::default().insert_header((ACCEPT_ENCODING, accepted));
        is_wanted(&request.to_http_request())
    }

    #[test]
    fn gzip_is_for_clients_that_ask_for_it_only() {
        for accepted in [
            "gzip",
            "br, gzip, deflate",
            "gzip;q=0.5, *;q=0",
            "identity;q=0.1, gzip",
        ] {
            assert!(wants(accepted), "{accepted}");
        }
        for accepted in [
            "",
            "identity",
            "br",
            "gzip;q=0",
            "gzip;q=0.1, identity;q=0.9",
            "*",
        ] {
            assert!(!wants(accepted), "{accepted}");
        }
    }

    #[actix_web::test]
    async fn a_stream_is_whole_after_compression_and_one_that_breaks_off_breaks_off() {
        let part =
            |text: &'static str| Ok::<_, std::io::Error>(Bytes::from_static(text.as_bytes()));
        let whole = stream::iter([part("one, "), part(""), part("two")]);
        let body = compressed(BoxBody::new(actix_web::body::BodyStream::new(whole))).unwrap();
        let bytes = to_bytes(body).await.unwrap();
        let mut text = String::new();
        GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
        assert_eq!(text, "one, two");

        let broken = stream::iter([part("one, "), Err(std::io::Error::other("gone"))]);
        let body = compressed(BoxBody::new(actix_web::body::BodyStream::new(broken))).unwrap();
        assert!(to_bytes(body).await.is_err());
    }
}
