//! Content negotiation: `Accept` chooses among the formats of an endpoint, which are JSON, and CSV for lists and reports.
//!
//! A path that ends in `.csv` is the same list or report as CSV, whatever `Accept` says: a browser can open it.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{Accept, Header, Quality, QualityItem, q};
use actix_web::{FromRequest, HttpMessage, HttpRequest, mime};

use crate::schema::problem::{Code, Problem};

/// The media type of JSON.
pub const JSON: &str = "application/json";

/// The media type of a CSV table.
pub const CSV: &str = "text/csv";

/// The end of a path that asks for CSV.
pub const CSV_SUFFIX: &str = ".csv";

/// Rejects a request whose `Accept` header allows none of these media types. A missing or unreadable header allows all.
///
/// # Errors
/// `not_acceptable` with the formats.
pub fn check(req: &impl HttpMessage, formats: &[&str]) -> Result<(), Problem> {
    let accepted = match Accept::parse(req) {
        Ok(accept) if !accept.is_empty() => accept,
        _ => return Ok(()),
    };
    let is_allowed = |format: &&str| {
        let known: Option<mime::Mime> = format.parse().ok();
        known.is_some_and(|known| quality(&accepted, (known.type_(), known.subtype())).is_some())
    };
    match formats.iter().any(is_allowed) {
        true => Ok(()),
        false => Err(not_acceptable(formats)),
    }
}

fn not_acceptable(formats: &[&str]) -> Problem {
    let detail = format!(
        "The Accept header allows no format of this endpoint; it has {}.",
        formats.join(" and ")
    );
    Problem::new(Code::NotAcceptable, detail).with("formats", formats)
}

/// The quality of a media type, more than 0; `None` if the client does not accept it.
fn quality(
    accepted: &[QualityItem<mime::Mime>],
    kind: (mime::Name<'_>, mime::Name<'_>),
) -> Option<Quality> {
    // The most specific range that matches a type decides its quality (RFC 9110, section 12.5.1).
    let ranges = accepted.iter().filter_map(|range| {
        let (main, sub) = (range.item.type_(), range.item.subtype());
        let precision = match (main, sub) {
            each if each == kind => 2,
            (main, mime::STAR) if main == kind.0 => 1,
            (mime::STAR, mime::STAR) => 0,
            _ => return None,
        };
        Some((precision, range.quality))
    });
    let quality = ranges.max().map(|(_, quality)| quality);
    quality.filter(|quality| *quality > q(0.0))
}

/// The form that a request's `Accept` header prefers: JSON, unless CSV has a higher quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `application/json`.
    Json,
    /// `text/csv`.
    Csv,
}

impl Form {
    /// The `Vary` header of every response that exists in more than one form.
    pub const VARY: (&'static str, &'static str) = ("Vary", "Accept");

    /// The most preferred form; `None` if the client accepts neither.
    fn preferred(accepted: &[QualityItem<mime::Mime>]) -> Option<Self> {
        let csv = quality(accepted, (mime::TEXT, mime::CSV));
        let json = quality(accepted, (mime::APPLICATION, mime::JSON));
        match csv.max(json) {
            None => None,
            Some(_) if csv > json => Some(Self::Csv),
            Some(_) => Some(Self::Json),
        }
    }
}

impl FromRequest for Form {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        if req.path().ends_with(CSV_SUFFIX) {
            return ready(Ok(Self::Csv));
        }
        let form = match Accept::parse(req) {
            Ok(accept) if !accept.is_empty() => Self::preferred(&accept),
            // A missing or unreadable header states no preference.
            _ => Some(Self::Json),
        };
        ready(form.ok_or_else(|| not_acceptable(&[JSON, CSV])))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn of(accept: &str) -> Form {
        let request = TestRequest::default().insert_header(("Accept", accept));
        let request = request.to_http_request();
        Form::extract(&request).into_inner().unwrap()
    }

    #[test]
    fn equal_preference_of_json_and_csv_gets_json() {
        for accept in [
            "",
            "*/*",
            "application/json",
            "application/*",
            "text/csv, application/json",
            "text/csv;q=0.5, application/json;q=0.5",
            "text/csv, */*",
            "text/html, */*;q=0.8",
            "text/csv;q=0, */*;q=0.1",
            "nonsense",
        ] {
            assert_eq!(of(accept), Form::Json, "{accept}");
        }
        let nothing = TestRequest::default().to_http_request();
        assert_eq!(Form::extract(&nothing).into_inner().unwrap(), Form::Json);
    }

    #[test]
    fn a_preference_for_csv_gets_csv() {
        for accept in [
            "text/csv",
            "TEXT/CSV",
            "text/csv; charset=utf-8",
            "text/*",
            "text/csv, application/json;q=0.9",
            "text/csv, */*;q=0.1",
            "application/json;q=0, */*",
        ] {
            assert_eq!(of(accept), Form::Csv, "{accept}");
        }
    }

    #[test]
    fn a_path_that_ends_in_csv_gets_csv_whatever_is_accepted() {
        for accept in ["", "application/json", "text/html, */*;q=0.8"] {
            let request = TestRequest::with_uri("/api/orders.csv?status=paid");
            let request = request.insert_header(("Accept", accept)).to_http_request();
            let form = Form::extract(&request).into_inner().unwrap();
            assert_eq!(form, Form::Csv, "{accept}");
        }
    }

    #[test]
    fn a_request_is_refused_if_its_endpoint_has_no_format_that_it_accepts() {
        for (accept, formats, is_good) in [
            ("", &["application/json"][..], true),
            ("nonsense", &["application/json"], true),
            ("application/json", &["application/json"], true),
            ("text/csv", &["application/json"], false),
            ("text/csv, */*;q=0.1", &["application/json"], true),
            ("application/json;q=0, */*", &["application/json"], false),
            ("text/event-stream", &["text/event-stream"], true),
            ("application/json", &["text/event-stream"], false),
        ] {
            let request = TestRequest::default().insert_header(("Accept", accept));
            let checked = check(&request.to_http_request(), formats);
            assert_eq!(checked.is_ok(), is_good, "{accept} {formats:?}");
        }
    }

    #[test]
    fn an_accept_header_without_json_and_csv_is_refused_with_the_formats() {
        for accept in [
            "image/png",
            "application/xml, text/html",
            "text/csv;q=0",
            "text/csv;q=0, text/*",
            "*/*;q=0",
        ] {
            let request = TestRequest::default().insert_header(("Accept", accept));
            let refused = Form::extract(&request.to_http_request()).into_inner();
            let code = refused.map_err(|problem| problem.code());
            assert_eq!(code, Err(Code::NotAcceptable), "{accept}");
        }
    }
}
