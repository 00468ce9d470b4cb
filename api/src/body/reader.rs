//! From a request's bytes to its parsed body.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::time::Duration;

use actix_web::body::{BodyStream, MessageBody};
use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use domain::Caller;
use domain::idempotency::Claim;
use entity::BusinessId;
use serde_json::Value;

use super::{At, FromJson, json};
use crate::idempotency;
use crate::problem::{Code, Problem};
use crate::text;

/// The largest body.
pub const MAX_BYTES: usize = 256 * 1024;

/// How much more of a body that is too large is read and thrown away. Most clients read no answer before they have sent
/// everything; closing on them would turn the 413 into a broken connection.
const MAX_DISCARDED: usize = 32 * 1024 * 1024;

/// For how long.
const DISCARD_FOR: Duration = Duration::from_secs(5);

/// A request with a JSON body, whatever its `Content-Type` says.
#[derive(Debug)]
pub struct Json<T> {
    /// What was asked.
    pub body: T,
    /// The caller's claim to have this request done once, if it brought an `Idempotency-Key`.
    pub claim: Option<Claim>,
}

/// A request that needs no body. An empty one, or `{}`, is welcome.
#[derive(Debug)]
pub struct Bare {
    /// The caller's claim to have this request done once, if it brought an `Idempotency-Key`.
    pub claim: Option<Claim>,
}

/// A request whose body is read as it came, for whoever checks a signature of it.
#[derive(Debug)]
pub struct Raw(pub Vec<u8>);

crate::body! {
    /// Nothing.
    struct Nothing {}
}

/// How long a client may take to send a request's body. In the app's data; without it, as long as it likes.
#[derive(Debug, Clone, Copy)]
pub struct BodyTimeout(pub Duration);

type Reading<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

impl<T: FromJson + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = Reading<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move {
            let bytes = read_in_time(&req, payload).await?;
            let (body, claim) = parse(&req, &bytes, &bytes)?;
            Ok(Self { body, claim })
        })
    }
}

impl FromRequest for Bare {
    type Error = Problem;
    type Future = Reading<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move {
            let bytes = read_in_time(&req, payload).await?;
            let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
            let (Nothing {}, claim) = parse(&req, &bytes, text)?;
            Ok(Self { claim })
        })
    }
}

impl FromRequest for Raw {
    type Error = Problem;
    type Future = Reading<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move { read_in_time(&req, payload).await.map(Self) })
    }
}

/// Parses the text of a body whose bytes were these.
fn parse<T: FromJson>(
    req: &HttpRequest,
    bytes: &[u8],
    text: &[u8],
) -> Result<(T, Option<Claim>), Problem> {
    let mut value = json::parse(text).map_err(|error| {
        Problem::new(
            Code::MalformedJson,
            format!("The body is not good JSON: {error}."),
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
    let claim = idempotency::claim(req, bytes, &mut at)?;
    let body = T::from_json(value, &mut at);
    at.finish(body.map(|body| (body, claim)))
}

/// Takes `business_id` off a body. It may repeat the caller's business and names no other.
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

/// The bytes of a body, if they come in time.
async fn read_in_time(req: &HttpRequest, payload: Payload) -> Result<Vec<u8>, Problem> {
    let Some(BodyTimeout(limit)) = req.app_data().copied() else {
        return read(req, payload).await;
    };
    tokio::time::timeout(limit, read(req, payload))
        .await
        .unwrap_or_else(|_elapsed| {
            let seconds = limit.as_secs();
            Err(Problem::new(
                Code::RequestTimeout,
                format!("The body did not arrive within {seconds} seconds."),
            ))
        })
}

/// The bytes of a body, up to [`MAX_BYTES`].
async fn read(req: &HttpRequest, payload: Payload) -> Result<Vec<u8>, Problem> {
    let mut chunks = pin!(BodyStream::new(payload));
    let mut next = async || poll_fn(|context| chunks.as_mut().poll_next(context)).await;
    let mut bytes = Vec::new();
    if !announces_too_much(req) {
        loop {
            match next().await {
                Some(Ok(chunk)) if bytes.len() + chunk.len() <= MAX_BYTES => {
                    bytes.extend_from_slice(&chunk);
                }
                Some(Ok(_)) => break,
                Some(Err(_)) => {
                    return Err(Problem::new(Code::MalformedJson, "The body broke off."));
                }
                None => return Ok(bytes),
            }
        }
    }
    let discard = async {
        let mut discarded = 0;
        while let Some(Ok(chunk)) = next().await {
            discarded += chunk.len();
            if discarded > MAX_DISCARDED {
                break;
            }
        }
    };
    // A client that is slower than this may miss its answer.
    let _ = tokio::time::timeout(DISCARD_FOR, discard).await;
    Err(Problem::new(
        Code::PayloadTooLarge,
        format!("A body has at most {} KiB.", MAX_BYTES / 1024),
    )
    .with("max_bytes", MAX_BYTES))
}

/// Whether the request says itself that its body is too large.
fn announces_too_much(req: &HttpRequest) -> bool {
    req.headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok())
        .is_some_and(|length| length > MAX_BYTES as u64)
}
