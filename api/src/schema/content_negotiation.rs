//! Content negotiation: reports are JSON by default, and CSV for clients that prefer it.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{Accept, Header, QualityItem};
use actix_web::{FromRequest, HttpRequest, mime};

use crate::schema::problem::{Code, Problem};

/// The media type of a CSV table.
pub const CSV: &str = "text/csv";

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
        let wanted = |kind: (mime::Name<'_>, mime::Name<'_>)| {
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
            quality.filter(|quality| *quality > actix_web::http::header::q(0.0))
        };
        let csv = wanted((mime::TEXT, mime::CSV));
        let json = wanted((mime::APPLICATION, mime::JSON));
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
        let form = match Accept::parse(req) {
            Ok(accept) if !accept.is_empty() => Self::preferred(&accept),
            // A missing or unreadable header states no preference.
            _ => Some(Self::Json),
        };
        ready(form.ok_or_else(|| {
            Problem::new(
                Code::NotAcceptable,
                "The Accept header allows neither application/json nor text/csv, and there is no other format.",
            )
            .with("formats", vec![mime::APPLICATION_JSON.as_ref(), CSV])
        }))
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
