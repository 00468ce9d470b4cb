//! Logs: a span for each request, one line at its end, and where the lines go.
//!
//! A line names the method, the route's pattern, the request's id and, once the caller is known, the business. Header
//! values, bodies, tokens and query strings are never logged.

use std::io::IsTerminal;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::{Error, HttpMessage};
use entity::BusinessId;
use tracing::Span;
use tracing::field::Empty;
use tracing_actix_web::{RootSpan, RootSpanBuilder, TracingLogger};
use tracing_subscriber::EnvFilter;

use crate::problem::Problem;
use crate::request::{Received, RequestId};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Pretty,
}

/// What is logged when `RUST_LOG` does not say: everything of note, less the small talk of libraries.
const QUIET: &str = "info,sqlx=warn,actix_server=warn";

/// Sends the process's logs to standard error, filtered by `RUST_LOG` or [`QUIET`].
///
/// # Errors
/// Something else has taken the logs already.
pub fn start(format: Format) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new(QUIET));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        Format::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init(),
        Format::Pretty => lines.try_init(),
    }
}

/// The middleware. Inside of [`crate::request::outermost`], which makes the request's id.
#[must_use]
pub fn requests() -> TracingLogger<RequestSpan> {
    TracingLogger::new()
}

/// Names the business on the request's span, and so on every line from here on.
pub fn name_business(req: &ServiceRequest, id: BusinessId) {
    if let Some(span) = req.extensions().get::<RootSpan>() {
        span.record("business_id", tracing::field::display(id));
    }
}

/// Makes and ends the span of a request.
#[derive(Debug)]
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(req: &ServiceRequest) -> Span {
        let extensions = req.extensions();
        let id = extensions.get::<RequestId>().map_or("", |id| id.0.as_str());
        let route = req.match_pattern();
        tracing::info_span!(
            "request",
            method = %req.method(),
            route = route.as_deref().unwrap_or("unmatched"),
            request_id = id,
            business_id = Empty,
        )
    }

    fn on_request_end<B: MessageBody>(_: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let (status, error) = match outcome {
            Ok(response) => (response.status(), response.response().error()),
            Err(error) => (error.as_response_error().status_code(), Some(error)),
        };
        let outcome_code = error
            .and_then(Error::as_error::<Problem>)
            .map_or("ok", |problem| problem.code().text());
        let received = outcome
            .as_ref()
            .ok()
            .and_then(|response| response.request().extensions().get::<Received>().copied());
        tracing::info!(
            status = status.as_u16(),
            outcome = if error.is_none() && !status.is_success() {
                status.as_str()
            } else {
                outcome_code
            },
            latency_ms = received.map(|received| received.0.elapsed().as_secs_f64() * 1000.0),
            "request"
        );
    }
}
