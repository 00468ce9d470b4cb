//! Extractors that read a request's bytes and parse its body.
//!
//! A JSON body has at most [`MAX_BYTES`], both as sent and after decompression. Decompression stops at that limit. The
//! caller's credential is checked before any byte of the body is read.

use std::future::poll_fn;
use std::io::Read;
use std::pin::Pin;
use std::time::Duration;

use actix_web::body::{BodyStream, MessageBody};
use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, UPGRADE};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use domain::{Caller, IdempotencyKey};
use entity::BusinessId;
use flate2::bufread::MultiGzDecoder;
use serde_json::Value;

use super::{FromJson, json};
use crate::schema::faults::At;
use crate::schema::idempotency;
use crate::schema::problem::{Code, Problem};
use crate::schema::text;

/// The largest JSON body, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;

/// The forms that a reader accepts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Accepted {
    /// The content encodings in addition to none.
    pub(crate) codings: &'static [&'static str],
    /// The most bytes, as sent and after decompression.
    pub(crate) max_bytes: usize,
}

/// The accepted forms of JSON.
const JSON: Accepted = Accepted {
    codings: CODINGS,
    max_bytes: MAX_BYTES,
};

/// The number of bytes of a body that is too large that are read and discarded. Most clients read no response before
/// they have sent everything. Closing the connection on them would turn the 413 into a broken connection.
const MAX_DISCARDED: usize = 32 * 1024 * 1024;

/// The time for which a body that is too large is read and discarded.
const DISCARD_FOR: Duration = Duration::from_secs(5);

/// A request with a JSON body. `Content-Type` is ignored.
#[derive(Debug)]
pub struct Json<T> {
    /// The parsed body.
    pub body: T,
    /// The key under which a retry gets the original response, if the request has an `Idempotency-Key`.
    pub key: Option<IdempotencyKey>,
}

/// A request whose members are all optional. An empty body is read as `{}`.
#[derive(Debug)]
pub struct JsonOrEmpty<T> {
    /// The parsed body.
    pub body: T,
    /// The identity of the request, by which a retry gets the original response; `None` without an `Idempotency-Key`.
    pub key: Option<IdempotencyKey>,
}

/// A request that needs no body. An empty body and `{}` are accepted.
#[derive(Debug)]
pub struct Bare {
    /// The key under which a retry gets the original response, if the request has an `Idempotency-Key`.
    pub key: Option<IdempotencyKey>,
}

/// A request whose body is read unchanged, for a handler that checks a signature of it.
#[derive(Debug)]
pub struct Raw(pub Vec<u8>);

crate::body! {
    /// An object without members.
    struct Nothing {}
}

/// The time that a client has to send a request's body. It is read from the app's data; without it there is no limit.
#[derive(Debug, Clone, Copy)]
pub struct BodyTimeout(pub Duration);

type Reading<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

impl<T: FromJson + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = Reading<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move {
            let bytes = read_in_time(&req, payload, JSON).await?;
            let (body, key) = parse(&req, &bytes, &bytes)?;
            Ok(Self { body, key })
        })
    }
}

impl<T: FromJson + 'static> FromRequest for JsonOrEmpty<T> {
    type Error = Problem;
    type Future = Reading<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move {
            let bytes = read_in_time(&req, payload, JSON).await?;
            let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
            let (body, key) = parse(&req, &bytes, text)?;
            Ok(Self { body, key })
        })
    }
}

impl FromRequest for Bare {
    type Error = Problem;
    type Future = Reading<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let reading = JsonOrEmpty::from_request(req, payload);
        Box::pin(async move {
            let JsonOrEmpty {
                body: Nothing {},
                key,
            } = reading.await?;
            Ok(Self { key })
        })
    }
}

impl FromRequest for Raw {
    type Error = Problem;
    type Future = Reading<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        // The signature covers the bytes of the content. No source says whether that is before or after compression, so
        // a compressed body is rejected.
        let accepted = Accepted {
            codings: &[],
            max_bytes: MAX_BYTES,
        };
        Box::pin(async move { read_in_time(&req, payload, accepted).await.map(Self) })
    }
}

/// Parses `text` as the body. `bytes` are the body as received, for the hash of the idempotency key.
fn parse<T: FromJson>(
    req: &HttpRequest,
    bytes: &[u8],
    text: &[u8],
) -> Result<(T, Option<IdempotencyKey>), Problem> {
    let mut value = json::parse(text).map_err(|error| {
        Problem::new(
            Code::MalformedJson,
            format!("The body is not valid JSON: {error}."),
        )
    })?;
    let caller = req
        .extensions()
        .get::<Caller>()
        .map(|caller| (caller.business_id, caller.currency));
    let mut at = At::new(caller.map(|(_, currency)| currency));
    if let Some((business_id, _)) = caller {
        check_business(&mut value, business_id, &mut at)?;
    }
    let body = idempotency::Body {
        bytes,
        value: &value,
    };
    let key = idempotency::key_of(req, body, &mut at)?;
    let body = T::from_json(value, &mut at);
    at.finish(body.map(|body| (body, key)))
}

/// Removes `business_id` from a body. It may repeat the caller's business, and is rejected if it names another.
fn check_business(value: &mut Value, own: BusinessId, at: &mut At) -> Result<(), Problem> {
    let Some(named) = value
        .as_object_mut()
        .and_then(|body| body.remove("business_id"))
    else {
        return Ok(());
    };
    match named.as_str().and_then(text::id::<BusinessId>) {
        Some(named) if named == own => Ok(()),
        Some(_) => Err(Problem::new(
            Code::TenantMismatch,
            "The body's business_id is not the caller's business.",
        )),
        None => {
            at.inside("business_id", |at| at.fault("must be a UUID"));
            Ok(())
        }
    }
}

/// The content encodings in which a body may be sent, in addition to none.
pub(crate) const CODINGS: &[&str] = &["gzip"];

/// The bytes of a body. Rejects a body that does not arrive within [`BodyTimeout`].
pub(crate) async fn read_in_time(
    req: &HttpRequest,
    payload: Payload,
    accepted: Accepted,
) -> Result<Vec<u8>, Problem> {
    let reading = read(req, payload, accepted);
    let Some(BodyTimeout(limit)) = req.app_data().copied() else {
        return reading.await;
    };
    tokio::time::timeout(limit, reading)
        .await
        .unwrap_or_else(|_elapsed| {
            let seconds = limit.as_secs();
            Err(Problem::new(
                Code::RequestTimeout,
                format!("The body did not arrive within {seconds} seconds."),
            ))
        })
}

/// The bytes of a body, as many as are accepted.
async fn read(req: &HttpRequest, payload: Payload, accepted: Accepted) -> Result<Vec<u8>, Problem> {
    let max_bytes = accepted.max_bytes;
    let mut sent = Sent::of(req, payload);
    let is_gzip = match is_gzip(req.headers(), accepted.codings) {
        Ok(is_gzip) => is_gzip,
        Err(problem) => {
            sent.discard().await;
            return Err(problem);
        }
    };
    let bytes = match announces_too_much(req.headers(), max_bytes) {
        true => None,
        false => sent.bytes(max_bytes).await?,
    };
    let Some(bytes) = bytes else {
        sent.discard().await;
        return Err(too_large(max_bytes));
    };
    match is_gzip {
        true => decompressed(&bytes, max_bytes),
        false => Ok(bytes),
    }
}

/// A body that is still arriving.
struct Sent {
    chunks: Pin<Box<BodyStream<Payload>>>,
    /// The length of the body in a request that asks to upgrade the connection, whose stream has no end of its own.
    /// `None` for all other requests.
    length: Option<usize>,
}

impl Sent {
    fn of(req: &HttpRequest, payload: Payload) -> Self {
        let upgrade = req.headers().contains_key(UPGRADE) && !req.chunked().unwrap_or(true);
        let length = announced(req.headers()).unwrap_or(0);
        Self {
            chunks: Box::pin(BodyStream::new(payload)),
            length: upgrade.then(|| usize::try_from(length).unwrap_or(usize::MAX)),
        }
    }

    async fn next(&mut self) -> Option<Result<Bytes, Problem>> {
        let chunk = poll_fn(|context| self.chunks.as_mut().poll_next(context)).await?;
        Some(chunk.map_err(|_broken| Problem::new(Code::MalformedJson, "The body ended early.")))
    }

    /// All bytes of the body, or `None` if they exceed `max_bytes`.
    async fn bytes(&mut self, max_bytes: usize) -> Result<Option<Vec<u8>>, Problem> {
        let mut bytes = Vec::new();
        while self.length.is_none_or(|length| bytes.len() < length) {
            match self.next().await.transpose()? {
                Some(chunk) if bytes.len() + chunk.len() <= max_bytes => {
                    bytes.extend_from_slice(&chunk);
                }
                Some(_) => return Ok(None),
                None => break,
            }
        }
        if let Some(length) = self.length {
            bytes.truncate(length);
        }
        Ok(Some(bytes))
    }

    /// Reads and discards the rest of the body, up to [`MAX_DISCARDED`] bytes and for at most [`DISCARD_FOR`].
    async fn discard(&mut self) {
        if self.length.is_some() {
            // Such a connection is closed with the response.
            return;
        }
        let reading = async {
            let mut discarded = 0;
            while let Some(Ok(chunk)) = self.next().await {
                discarded += chunk.len();
                if discarded > MAX_DISCARDED {
                    break;
                }
            }
        };
        // A client that takes longer may miss its response.
        let _ = tokio::time::timeout(DISCARD_FOR, reading).await;
    }
}

/// Whether the body is compressed. Rejects any encoding outside `codings`, and more than one.
fn is_gzip(headers: &HeaderMap, codings: &'static [&'static str]) -> Result<bool, Problem> {
    let mut named = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let text = String::from_utf8_lossy(value.as_bytes()).to_lowercase();
        named.extend(text.split(',').map(|name| name.trim().to_owned()));
    }
    named.retain(|name| !name.is_empty() && name != "identity");
    match named.as_slice() {
        [] => Ok(false),
        // RFC 9110 defines `x-gzip` as another name for `gzip`.
        [name] if codings.contains(&name.strip_prefix("x-").unwrap_or(name)) => Ok(true),
        _ => {
            let readable = match codings {
                [] => "as it is, without a Content-Encoding".to_owned(),
                names => format!("as it is, or with Content-Encoding: {}", names.join(", ")),
            };
            let detail = format!(
                "The body's Content-Encoding is {}. It must be sent {readable}.",
                named.join(", ")
            );
            Err(Problem::new(Code::UnsupportedEncoding, detail).with("encodings", codings.to_vec()))
        }
    }
}

/// The decompressed bytes, at most `max_bytes`. Decompression stops when the limit is exceeded.
fn decompressed(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, Problem> {
    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(bytes).take(max_bytes as u64 + 1);
    decoder.read_to_end(&mut plain).map_err(|error| {
        Problem::new(
            Code::MalformedJson,
            format!("The body is not valid gzip: {error}."),
        )
    })?;
    match plain.len() > max_bytes {
        true => Err(too_large(max_bytes)),
        false => Ok(plain),
    }
}

/// The problem for a body larger than `max_bytes`.
pub(crate) fn too_large(max_bytes: usize) -> Problem {
    let detail = format!(
        "A body has at most {} KiB, also when it is decompressed.",
        max_bytes / 1024
    );
    Problem::new(Code::PayloadTooLarge, detail).with("max_bytes", max_bytes)
}

/// The `Content-Length` of a request, in bytes.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the `Content-Length` alone exceeds `max_bytes`.
pub(crate) fn announces_too_much(headers: &HeaderMap, max_bytes: usize) -> bool {
    announced(headers).is_some_and(|length| length > max_bytes as u64)
}
