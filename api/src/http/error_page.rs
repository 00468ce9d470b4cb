//! The page that a browser gets for a request that was refused or failed.

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use pages::Template;
use pages::shop::ErrorPage;

use crate::schema::endpoint::{OFFICE, SHOP, area};
use crate::schema::problem::{Code, Problem};
use crate::schema::text::{FromText, Slug};

/// The response with a page about the problem as its body. Other headers are kept.
pub(super) fn written(
    response: HttpResponse,
    problem: &Problem,
    path: &str,
    id: &str,
) -> HttpResponse {
    let page = ErrorPage {
        status: problem.code().status().as_u16(),
        title: problem.code().title().to_owned(),
        message: problem.detail().to_owned(),
        request_id: id.to_owned(),
        links: links(path, problem.code()),
    };
    let page = page.render().unwrap_or_else(|error| {
        tracing::error!(request_id = id, %error, "the page of an error cannot be rendered");
        problem.code().title().to_owned()
    });
    let mut response = response.set_body(BoxBody::new(page));
    *response.status_mut() = problem.code().status();
    let headers = response.headers_mut();
    // Browsers would ask for a password of their own.
    headers.remove(WWW_AUTHENTICATE);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}

/// The ways on: text and address, the best one first.
fn links(path: &str, code: Code) -> Vec<(String, String)> {
    let link = |text: &str, address: String| (text.to_owned(), address);
    match area(path).zip(slug(path)) {
        Some((OFFICE, slug)) if code == Code::Forbidden => vec![
            link("Back to the office", format!("{OFFICE}/{slug}")),
            link("Log in as somebody else", format!("{OFFICE}/{slug}/login")),
            link("To the store", format!("{SHOP}/{slug}")),
        ],
        Some((OFFICE, slug)) => vec![link("Back to the office", format!("{OFFICE}/{slug}"))],
        Some((area, slug)) => vec![link("Back to the store", format!("{area}/{slug}"))],
        None => vec![link("To the start page", "/".to_owned())],
    }
}

/// The slug in the path of a store or a back office.
fn slug(path: &str) -> Option<String> {
    let rest = path.strip_prefix(area(path)?)?.strip_prefix('/')?;
    let slug = rest.split('/').next()?;
    Slug::from_text(slug).ok().map(|Slug(slug)| slug)
}
