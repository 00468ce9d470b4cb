//! Logs: a span per request, one line at its end, and the output.
//!
//! A line names the method, the route's pattern, the request's id and, once the caller is known, the business. Header
//! values, bodies, tokens and query strings are never logged.

use std::ffi::OsStr;
use std::io::IsTerminal;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::{Error, HttpMessage};
use chrono::{SecondsFormat, Utc};
use entity::BusinessId;
use serde_json::json;
use tracing::field::Empty;
use tracing::{Span, Subscriber};
use tracing_actix_web::{RootSpan, RootSpanBuilder, TracingLogger};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::http::request::{Received, RequestId, Route, SentMethod};
use crate::schema::problem::Problem;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object per line, for programs.
    Json,
    /// Plain text, for people.
    Pretty,
}

impl Format {
    /// The format in the command line or the environment, for a process whose settings cannot be read.
    #[must_use]
    pub fn before_the_settings() -> Self {
        let arguments: Vec<_> = std::env::args_os().collect();
        let flag = arguments.windows(2).find(|pair| pair[0] == "--log");
        let json = match flag {
            Some(pair) => pair[1] == "json",
            None if arguments.iter().any(|one| one == "--log=json") => true,
            None => std::env::var_os("TRADELINE_LOG").is_some_and(|format| format == "json"),
        };
        if json { Self::Json } else { Self::Pretty }
    }
}

/// An error with its causes. A cause whose text is contained in that of the error above it is not repeated.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
        cause = error.source();
    }
    said
}

/// The filter without `RUST_LOG`: level info, and only warnings of two libraries.
const DEFAULT_FILTER: &str = "info,sqlx=warn,actix_server=warn";

/// Why the log cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `RUST_LOG` contains a directive that selects nothing.
    #[error(
        "RUST_LOG: `{directive}` is not a directive: {reason}. Right are a level such as `info`, a target with its level \
         such as `domain=debug`, or several with commas between them"
    )]
    Directive {
        /// The part between two commas.
        directive: String,
        /// Why it selects nothing.
        reason: String,
    },
    /// Another logger is installed already.
    #[error(transparent)]
    AlreadyInstalled(#[from] TryInitError),
}

/// Sends the process's logs to standard error, filtered by `RUST_LOG` or [`DEFAULT_FILTER`].
///
/// # Errors
/// See [`LogError`].
pub fn start(format: Format) -> Result<(), LogError> {
    let filter = filter(std::env::var_os("RUST_LOG").as_deref())?;
    let colours = std::io::stderr().is_terminal();
    lines(format, filter, std::io::stderr, colours).try_init()?;
    if format == Format::Json {
        // Writes a panic as a log line too.
        std::panic::set_hook(Box::new(
            |panic| tracing::error!(panic = %panic, "a task has panicked"),
        ));
    }
    Ok(())
}

/// A log line in JSON, for messages before the log starts and for those that no filter may drop.
#[must_use]
pub fn json_line(level: &str, message: &str) -> String {
    let timestamp = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
    json!({"timestamp": timestamp, "level": level, "message": message}).to_string()
}

/// The filter of `RUST_LOG`. The library would silently ignore directives that it cannot parse.
fn filter(rust_log: Option<&OsStr>) -> Result<EnvFilter, LogError> {
    let text = rust_log.unwrap_or_default().to_string_lossy();
    if text.trim().is_empty() {
        return Ok(EnvFilter::new(DEFAULT_FILTER));
    }
    for directive in text.split(',').filter(|directive| !directive.is_empty()) {
        let bad = |reason| LogError::Directive {
            directive: directive.to_owned(),
            reason,
        };
        if let Some(level) = misspelt_level(directive) {
            return Err(bad(format!("did you mean `{level}`?")));
        }
        let parsed = directive.parse::<Directive>();
        parsed.map_err(|error| bad(error.to_string()))?;
    }
    Ok(EnvFilter::new(text))
}

/// The level that a word was probably meant to be. Used unchanged, the word would select a target that does not exist,
/// and therefore nothing.
fn misspelt_level(word: &str) -> Option<&'static str> {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let lower = word.trim().to_lowercase();
    if levels.contains(&lower.as_str()) {
        return None;
    }
    let near = |level: &&str| strsim::damerau_levenshtein(&lower, level) == 1;
    levels.into_iter().find(near)
}

/// A subscriber that writes lines in this format to `writer`.
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

/// The middleware. It must be inside [`crate::http::request::outermost`], which makes the request's id.
#[must_use]
pub fn requests() -> TracingLogger<RequestSpan> {
    TracingLogger::new()
}

/// Adds the business to the request's span, and so to every later line.
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
        let sent = extensions.get::<SentMethod>().map(|sent| &sent.0);
        tracing::info_span!(
            "request",
            method = %sent.unwrap_or(req.method()),
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
    use crate::http::request::outermost;
    use crate::schema::problem::Code;

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

    #[test]
    fn a_directive_that_selects_nothing_is_named() {
        let read = |text: &str| filter(Some(OsStr::new(text))).map_err(|error| error.to_string());
        for good in [
            "",
            " ",
            "info",
            "WARN",
            "off",
            "warn,domain=debug",
            "debug,",
            "sqlx",
            "domain::desk=trace,tradeline[request]=info",
        ] {
            assert!(read(good).is_ok(), "{good}: {:?}", read(good));
        }
        for (bad, directive) in [
            ("info,domain=loud", "domain=loud"),
            ("inof", "inof"),
            ("warn,debugg", "debugg"),
            ("a=b=c", "a=b=c"),
        ] {
            let said = read(bad).unwrap_err();
            let words = format!("RUST_LOG: `{directive}` is not a directive");
            assert!(said.contains(&words), "{bad}: {said}");
        }
        assert!(read("inof").unwrap_err().contains("did you mean `info`?"));
        assert!(filter(None).is_ok());
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
