//! In which form an answer is wanted. Reports are JSON, and CSV for those who ask for it.

use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{Accept, Header, QualityItem};
use actix_web::{FromRequest, HttpRequest, mime};

/// The media type of a table as text.
pub const CSV: &str = "text/csv";

/// The form that a request's `Accept` header prefers: JSON, unless CSV is wanted more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `application/json`.
    Json,
    /// `text/csv`.
    Csv,
}

impl Form {
    /// An answer depends on this header where there is more than one form.
    pub const VARY: (&'static str, &'static str) = ("Vary", "Accept");

    fn preferred(accepted: &[QualityItem<mime::Mime>]) -> Self {
        let wanted = |kind: (mime::Name<'_>, mime::Name<'_>)| {
            // The most particular range that a type falls into says how much it is wanted (RFC 9110, 12.5.1).
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
            ranges.max().map(|(_, quality)| quality)
        };
        let csv = wanted((mime::TEXT, mime::CSV));
        let json = wanted((mime::APPLICATION, mime::JSON));
        if csv.is_some_and(|quality| quality > actix_web::http::header::q(0.0)) && csv > json {
            Self::Csv
        } else {
            Self::Json
        }
    }
}

impl FromRequest for Form {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        // A header that cannot be read asks for nothing.
        let form = Accept::parse(req).map_or(Self::Json, |accept| Self::preferred(&accept));
        ready(Ok(form))
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
    fn whoever_takes_json_as_gladly_gets_json() {
        for accept in [
            "",
            "*/*",
            "application/json",
            "application/*",
            "text/csv, application/json",
            "text/csv;q=0.5, application/json;q=0.5",
            "text/csv, */*",
            "text/html, */*;q=0.8",
            "text/csv;q=0",
            "text/csv;q=0, text/*",
            "image/png",
            "nonsense",
        ] {
            assert_eq!(of(accept), Form::Json, "{accept}");
        }
        let nothing = TestRequest::default().to_http_request();
        assert_eq!(Form::extract(&nothing).into_inner().unwrap(), Form::Json);
    }

    #[test]
    fn whoever_prefers_csv_gets_csv() {
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
}
