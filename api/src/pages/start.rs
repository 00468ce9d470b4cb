//! `/`: the parts of the demo, or the way to the store of a business.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, LOCATION};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use domain::demo;
use entity::Currency;
use pages::Template;
use pages::shop::{Door, Home};

use crate::schema::endpoint::{Endpoint, OFFICE, SHOP};
use crate::schema::problem::Problem;
use crate::schema::query::Query;
use crate::schema::response::Response;
use crate::schema::text::{FromText, Slug};
use crate::state::State;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::page("showStart", "/", show).public()]
}

async fn show(state: Data<State>, req: HttpRequest) -> Response {
    let failed = |error| Problem::of(error, Currency::USD);
    let named = Query::of(req.query_string()).take_text("business");
    let named = named.map(|name| name.trim().to_lowercase());
    if let Some(name) = named.filter(|name| !name.is_empty()) {
        let found = match Slug::from_text(&name) {
            Ok(Slug(slug)) => {
                let found = state.businesses.by_name(&state.database, &slug);
                found.await.map_err(failed)?
            }
            Err(_no_slug) => None,
        };
        return match found {
            Some(business) => Ok(HttpResponse::SeeOther()
                .insert_header((LOCATION, format!("{SHOP}/{}", business.slug)))
                .finish()),
            None => page(StatusCode::NOT_FOUND, Vec::new(), Some(name)),
        };
    }
    let has_demo = state.is_demo && {
        let acme = state.businesses.by_id(&state.database, demo::ACME);
        acme.await.map_err(failed)?.is_some()
    };
    let doors = if has_demo { doors() } else { Vec::new() };
    page(StatusCode::OK, doors, None)
}

fn page(status: StatusCode, doors: Vec<Door>, unknown_business: Option<String>) -> Response {
    let page = Home {
        doors,
        unknown_business,
    };
    let body = page.render().map_err(|error| {
        tracing::error!(%error, "a page cannot be rendered");
        Problem::internal()
    })?;
    Ok(HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .body(body))
}

/// The parts of the demo.
fn doors() -> Vec<Door> {
    let login = |role: &str, email: &str, password: &str| {
        (role.to_owned(), email.to_owned(), password.to_owned())
    };
    vec![
        Door {
            title: "The store of Acme".to_owned(),
            text: "Browse, fill a cart and buy on credit, as a customer of Acme.".to_owned(),
            address: format!("{SHOP}/acme"),
            icon: "store",
            logins: vec![login("Customer", "customer@example.com", "customer123")],
        },
        Door {
            title: "The back office of Acme".to_owned(),
            text: "See orders, ship them, give money back, as the people of Acme do.".to_owned(),
            address: format!("{OFFICE}/acme"),
            icon: "receipt-text",
            logins: vec![login("Admin", "admin@example.com", "admin123")],
        },
        Door {
            title: "The API".to_owned(),
            text: "Read and try every endpoint, with an access token from the login.".to_owned(),
            address: "/docs/".to_owned(),
            icon: "file-text",
            logins: vec![login("Admin", "admin@example.com", "admin123")],
        },
    ]
}
