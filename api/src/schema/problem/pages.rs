//! The documentation pages to which the `type` of a problem links: the section of each code in `docs/api.md`, as HTML.

use std::collections::HashMap;
use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Path, ServiceConfig};
use pulldown_cmark::{Parser, html};

use super::{Code, Problem};

/// The common start of the pages' paths.
pub(super) const BASE: &str = "/problems";

const DOCUMENT: &str = include_str!("../../../../docs/api.md");

/// The pages by code, rendered once per process.
static PAGES: LazyLock<HashMap<&str, String>> = LazyLock::new(|| {
    let (_, errors) = DOCUMENT
        .split_once("\n## Errors\n")
        .unwrap_or(("", DOCUMENT));
    let pages = errors.split("\n### ").skip(1).filter_map(|part| {
        let (code, text) = part.split_once('\n')?;
        Some((code, page(code, text)))
    });
    pages.collect()
});

/// Serves `/problems/{code}`, without credentials.
pub fn configure(config: &mut ServiceConfig) {
    config.service(web::resource(format!("{BASE}/{{code}}")).get(serve));
}

async fn serve(code: Path<String>) -> Result<HttpResponse, Problem> {
    let page = of(&code).ok_or_else(|| Problem::of_status(StatusCode::NOT_FOUND))?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(page))
}

fn of(code: &str) -> Option<&'static str> {
    PAGES.get(code).map(String::as_str)
}

/// Renders a section, which contains no HTML of its own. Links to other codes lead to their pages.
fn page(code: &str, text: &str) -> String {
    let text = text.replace("](#", &format!("]({BASE}/"));
    let title = Code::ALL.iter().find(|known| known.text() == code);
    let title = title.map_or(code, |known| known.title());
    let mut body = String::new();
    html::push_html(&mut body, Parser::new(&text));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<h1>{title}</h1>\n\
         <p><code>{code}</code></p>\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_a_page_that_says_what_to_do() {
        for code in Code::ALL {
            let page = of(code.text()).unwrap();
            assert!(page.contains("<strong>Do:</strong>"), "{page}");
            assert!(page.contains(code.title()), "{page}");
        }
        assert_eq!(of("no_such_code"), None);
    }
}
