//! Logs: a span for each request, one line at its end, and where the lines go.
//!
//! A line names the method, the route's pattern, the request's id and, once the caller is known, the business. Header
//! values, bodies, tokens and query strings are never logged.

use std::io::IsTerminal;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::{Error, HttpMessage};
use entity::BusinessId;
use tracing::field::Empty;
use tracing::{Span, Subscriber};
use tracing_actix_web::{RootSpan, RootSpanBuilder, TracingLogger};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::problem::Problem;
use crate::request::{Received, RequestId, Route};

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
pub fn start(format: Format) -> Result<(), TryInitError> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new(QUIET));
    lines(
        format,
        filter,
        std::io::stderr,
        std::io::stderr().is_terminal(),
    )
    .try_init()
}

/// Lines of this format, written there.
fn lines<W>(
    format: Format,
    filter: EnvFilter,
    writer: W,
    colours: bool,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(colours)
        .with_writer(writer);
    match format {
        Format::Json => Box::new(
            lines
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false)
                .finish(),
        ),
        Format::Pretty => Box::new(lines.finish()),
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
        let route = extensions.get::<Route>();
        tracing::info_span!(
            "request",
            method = %req.method(),
            route = route.map_or("unmatched", Route::label),
            request_id = id,
            business_id = Empty,
        )
    }

    fn on_request_end<B: MessageBody>(_: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let (status, error) = match outcome {
            Ok(response) => (response.status(), response.response().error()),
            Err(error) => (error.as_response_error().status_code(), Some(error)),
        };
        let code = match error.and_then(Error::as_error::<Problem>) {
            Some(problem) => problem.code().text(),
            None if status.is_client_error() || status.is_server_error() => {
                Problem::of_status(status).code().text()
            }
            None => "ok",
        };
        let received = outcome
            .as_ref()
            .ok()
            .and_then(|response| response.request().extensions().get::<Received>().copied());
        tracing::info!(
            status = status.as_u16(),
            outcome = code,
            latency_ms = received.map(|received| received.0.elapsed().as_secs_f64() * 1000.0),
            "request"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use actix_web::http::header::AUTHORIZATION;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpRequest, HttpResponse, web};
    use serde_json::Value;

    use super::*;
    use crate::problem::Code;
    use crate::request::outermost;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    async fn refuse(_: HttpRequest) -> Result<HttpResponse, Problem> {
        Err(Problem::new(Code::Conflict, "secret_detail"))
    }

    #[actix_web::test]
    async fn a_request_is_one_line_without_anything_secret() {
        let captured = Captured::default();
        let writer = captured.clone();
        let filter = EnvFilter::new("info");
        let lines = lines(Format::Json, filter, move || writer.clone(), false);
        let _guard = lines.set_default();
        let app = App::new()
            .route("/x/{id}", web::get().to(refuse))
            .wrap(requests())
            .wrap(from_fn(outermost));
        let app = init_service(app).await;
        let request = TestRequest::get()
            .uri("/x/secret_id?q=secret_query")
            .insert_header(("X-Request-Id", "r1"))
            .insert_header((AUTHORIZATION, "Bearer secret_token"));
        call_service(&app, request.to_request()).await;

        let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("secret"), "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["status"], 409);
        assert_eq!(line["outcome"], "conflict");
        assert!(line["latency_ms"].is_number());
        assert_eq!(line["span"]["route"], "/x/{id}");
        assert_eq!(line["span"]["request_id"], "r1");
        assert_eq!(line["span"]["method"], "GET");
    }
}
