//! The outermost layer of every request: its id, the final form of every error, and its metrics.
//!
//! Every failure further in leaves through here as a problem with the same members: a handler's rejection, a path
//! without a handler, the framework's own errors, a panic. A head that cannot be parsed never gets here: actix answers
//! it with a bare 400, 408 or 431 and closes the connection. For all inner layers, a HEAD is a GET whose response has
//! no body.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_cors::CorsError;
use actix_http::{ConnectionType, Request};
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ResponseHead, ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue, UPGRADE};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError};
use uuid::Uuid;

use crate::http::connection_progress::Busy;
use crate::http::error_page;
use crate::http::headers;
use crate::http::headers::REQUEST_ID;
use crate::schema::body;
use crate::schema::csv_body;
use crate::schema::endpoint::is_page;
use crate::schema::picture_body;
use crate::schema::problem::{self, Problem};

/// The maximum length of an id that a client sends.
const REQUEST_ID_LENGTH: usize = 128;

/// The id of a request: the client's, if it is 1 to 128 visible ASCII characters, otherwise a new one. Stored in the
/// extensions of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

/// When the request arrived. Stored in the extensions of every request.
#[derive(Debug, Clone, Copy)]
pub struct Received(pub Instant);

/// The method as the client sent it. Stored in the extensions of every request.
#[derive(Debug, Clone)]
pub struct SentMethod(pub Method);

/// The pattern of the request's path; `None` if it has no handler. Stored in the extensions of every request, since
/// finding it costs more than storing it. It is for logs and time series, and no access decision uses it.
#[derive(Debug, Clone, Default)]
pub struct Route(Option<Rc<str>>);

impl Route {
    /// The pattern, or `unmatched`: the name for logs and time series.
    #[must_use]
    pub fn label(&self) -> &str {
        self.0.as_deref().unwrap_or("unmatched")
    }
}

impl RequestId {
    fn of(headers: &HeaderMap) -> Self {
        let given = headers
            .get(REQUEST_ID)
            .and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
            .filter(|id| (1..=REQUEST_ID_LENGTH).contains(&id.len()))
            .filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic()));
        Self(given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned))
    }

    fn header(&self) -> HeaderValue {
        // Visible ASCII is always a valid header value, so the fallback is never used.
        HeaderValue::from_str(&self.0).unwrap_or_else(|_invalid| HeaderValue::from_static("-"))
    }
}

impl FromRequest for RequestId {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        // The outermost layer has stored it.
        let id = req.extensions().get::<Self>().cloned();
        ready(Ok(id.unwrap_or_else(|| Self(String::new()))))
    }
}

/// The middleware, for [`actix_web::middleware::from_fn`]. It must be the last `wrap` of the app, which runs first.
///
/// # Errors
/// An error that it returns carries its finished response.
pub async fn outermost(
    mut req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let received = Instant::now();
    let _busy = Busy::with(&req);
    let id = RequestId::of(req.headers());
    let sent = SentMethod(req.method().clone());
    let (method, is_head) = (method_label(&sent.0), sent.0 == Method::HEAD);
    if is_head {
        req.head_mut().method = Method::GET;
    }
    // The service upgrades no connection. Bytes after the request on such a connection would be misread.
    let closes = req.headers().contains_key(UPGRADE);
    let (instance, path) = (req.path().to_owned(), req.match_info().as_str().to_owned());
    let route = Route(req.resource_map().match_pattern(&path).map(Rc::from));
    req.extensions_mut().insert(id.clone());
    req.extensions_mut().insert(route.clone());
    req.extensions_mut().insert(Received(received));
    req.extensions_mut().insert(sent);

    let outcome = match caught(next.call(req), &id).await {
        Ok(response) => {
            let response = finished(response.map_into_boxed_body(), &id);
            Ok(response.map_body(|head, body| last(head, body, is_head, closes)))
        }
        Err(error) => {
            let problem = problem_of(error.error_response().status(), Some(&error), &id);
            let mut response = match is_page(&path) {
                true => error_page::written(problem.error_response(), &problem, &path, &id.0),
                false => written(problem.error_response(), &problem, &instance, &id),
            };
            response.headers_mut().insert(REQUEST_ID, id.header());
            headers::secure(response.headers_mut(), &path);
            let response = response.map_body(|head, body| last(head, body, is_head, closes));
            Err(InternalError::from_response(problem, response).into())
        }
    };

    let status = match &outcome {
        Ok(response) => response.status(),
        Err(error) => Error::as_response_error(error).status_code(),
    };
    count(method, route.label(), status, received);
    outcome
}

/// Adapts a response to its connection: a HEAD keeps the body's length without the body, and `closes` ends the
/// connection.
fn last(head: &mut ResponseHead, body: BoxBody, is_head: bool, closes: bool) -> BoxBody {
    if closes {
        head.set_connection_type(ConnectionType::Close);
    }
    match is_head {
        true => BoxBody::new(Withheld(body.size())),
        false => body,
    }
}

/// A body that has a length and is not sent.
struct Withheld(BodySize);

impl MessageBody for Withheld {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

/// For [`actix_http::HttpServiceBuilder::expect`]: the response to a client that waits for permission to send its body.
/// A body whose announced length exceeds the limit is rejected. The connection then ends, since the body may still
/// arrive.
///
/// # Errors
/// The rejection, as a finished response.
pub async fn before_continue(req: Request) -> Result<Request, HttpResponse> {
    let max_bytes = match req.path() {
        path if path.starts_with(csv_body::PATHS) => csv_body::MAX_BYTES,
        path if picture_body::is_for(path) => picture_body::MAX_BYTES,
        _ => body::MAX_BYTES,
    };
    if !body::announces_too_much(req.headers(), max_bytes) {
        return Ok(req);
    }
    let id = RequestId::of(req.headers());
    let problem = body::too_large(max_bytes);
    let mut response = written(problem.error_response(), &problem, req.path(), &id);
    headers::secure(response.headers_mut(), req.path());
    response
        .head_mut()
        .set_connection_type(ConnectionType::Close);
    let status = response.status();
    tracing::info!(
        request_id = id.0,
        status = status.as_u16(),
        outcome = problem.code().text(),
        "request"
    );
    count(
        method_label(req.method()),
        Route::default().label(),
        status,
        Instant::now(),
    );
    Err(response)
}

/// Runs the request to its end. A panic becomes an error, so that the client gets a response and other requests
/// continue.
async fn caught<T>(
    request: impl Future<Output = Result<T, Error>>,
    id: &RequestId,
) -> Result<T, Error> {
    let mut request = pin!(request);
    poll_fn(|context| {
        // The future is never polled again after a panic, so its incomplete state is never seen.
        catch_unwind(AssertUnwindSafe(|| request.as_mut().poll(context))).unwrap_or_else(|_panic| {
            tracing::error!(request_id = id.0, "a handler panicked");
            Poll::Ready(Err(Problem::internal().into()))
        })
    })
    .await
}

/// The response with the request's id. The body of an error response becomes a problem.
fn finished(response: ServiceResponse<BoxBody>, id: &RequestId) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let (request, mut response) = response.into_parts();
    let path = request.match_info().as_str();
    headers::secure(response.headers_mut(), path);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        allow_head(response.headers_mut());
    }
    let is_failure = status.is_client_error() || status.is_server_error();
    if is_failure && !(is_page(path) && has_page(&response)) {
        let problem = problem_of(status, response.error(), id);
        response = match is_page(path) {
            true => error_page::written(response, &problem, path, &id.0),
            false => written(response, &problem, request.path(), id),
        };
    }
    response.headers_mut().insert(REQUEST_ID, id.header());
    ServiceResponse::new(request, response)
}

/// Whether a handler has made the page that says what was refused.
fn has_page(response: &HttpResponse<BoxBody>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// Adds HEAD to the methods of a path that has GET.
fn allow_head(headers: &mut HeaderMap) {
    let allowed = headers.get(ALLOW).and_then(|allowed| allowed.to_str().ok());
    let Some(allowed) = allowed else { return };
    let has_get = allowed.split(',').any(|method| method.trim() == "GET");
    if has_get && let Ok(more) = HeaderValue::from_str(&format!("{allowed}, HEAD")) {
        headers.insert(ALLOW, more);
    }
}

fn problem_of(status: StatusCode, error: Option<&Error>, id: &RequestId) -> Problem {
    if let Some(refused) = error.and_then(Error::as_error::<CorsError>) {
        return headers::cors_refusal(refused);
    }
    if let Some(problem) = error.and_then(Error::as_error::<Problem>) {
        return problem.clone();
    }
    if status.is_server_error() {
        tracing::error!(request_id = id.0, %status, ?error, "the HTTP framework failed");
    }
    Problem::of_status(status)
}

/// The response with a problem as its body. Other headers are kept.
fn written(response: HttpResponse, problem: &Problem, path: &str, id: &RequestId) -> HttpResponse {
    let body = problem.body(path, &id.0);
    let mut response = response.set_body(BoxBody::new(body));
    *response.status_mut() = problem.code().status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(problem::MEDIA_TYPE));
    headers.insert(REQUEST_ID, id.header());
    response
}

/// The known methods by name, all others as `other`: a client must not be able to create time series.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn count(method: &'static str, route: &str, status: StatusCode, received: Instant) {
    metrics::counter!(
        "tradeline_http_requests_total",
        "method" => method, "route" => route.to_owned(), "status" => status.as_str().to_owned()
    )
    .increment(1);
    metrics::histogram!("tradeline_http_request_seconds", "method" => method, "route" => route.to_owned())
        .record(received.elapsed());
}
