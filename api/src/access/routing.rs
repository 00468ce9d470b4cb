//! The routing: actix routes from the endpoint table, each behind its access check.

use std::collections::BTreeMap;
use std::rc::Rc;

use actix_web::body::BoxBody;
use actix_web::dev::{HttpServiceFactory, ServiceRequest};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Route, web};

use super::{check, count_unmatched};
use crate::schema::content_negotiation::CSV_SUFFIX;
use crate::schema::endpoint::{BASE, Endpoint, OFFICE, SHOP, Table, area};

/// Serves the endpoints of the table, each behind its own [`check`]. [`super::check`] lists what the app's data must
/// contain.
pub fn configure(table: &Table, config: &mut web::ServiceConfig) {
    let endpoints: Vec<&Endpoint> = table.endpoints().collect();
    config.service(scope(BASE, &endpoints));
    // The start page is in no scope: one of an empty prefix would match every path.
    let (start, pages): (Vec<_>, Vec<_>) = table.pages().partition(|page| page.path == "/");
    if let Some(page) = start.first() {
        let resource = web::resource("/").route(checked_route(page));
        config.service(resource.wrap(from_fn(count_unmatched)));
    }
    for prefix in [SHOP, OFFICE] {
        let inside = pages.iter().copied();
        let inside: Vec<_> = inside
            .filter(|page| area(page.path) == Some(prefix))
            .collect();
        config.service(scope(prefix, &inside));
    }
}

/// The endpoints below this prefix.
fn scope(prefix: &'static str, all: &[&Endpoint]) -> impl HttpServiceFactory + use<> {
    // The router tries resources in order, and matches each parameter with a regular expression, so paths without
    // parameters come first. A literal segment sorts before a parameter: `/orders/my-orders` must not match as an
    // order's id.
    type SortKey<'a> = (bool, Vec<(bool, &'a str)>);
    let mut paths: BTreeMap<SortKey<'_>, Vec<&Endpoint>> = BTreeMap::new();
    for &endpoint in all {
        let segments = endpoint
            .path
            .split('/')
            .map(|segment| (segment.starts_with('{'), segment));
        let segments: Vec<_> = segments.collect();
        let has_parameter = segments.iter().any(|(is_parameter, _)| *is_parameter);
        let key = (has_parameter, segments);
        paths.entry(key).or_default().push(endpoint);
    }
    let mut scope = web::scope(prefix);
    for endpoints in paths.values() {
        let Some(path) = endpoints
            .first()
            .and_then(|first| first.path.strip_prefix(prefix))
        else {
            continue;
        };
        let resource = endpoints
            .iter()
            .fold(web::resource(path), |resource, endpoint| {
                resource.route(checked_route(endpoint))
            });
        let table = endpoints.iter().find(|endpoint| endpoint.has_csv());
        if let Some(table) = table {
            let path = format!("{path}{CSV_SUFFIX}");
            scope = scope.service(web::resource(path).route(checked_route(table)));
        }
        scope = scope.service(resource);
    }
    scope.wrap(from_fn(count_unmatched))
}

/// The route of an endpoint, with its check around the handler. Every request that reaches the handler passes through
/// the check of this endpoint and of no other.
fn checked_route(endpoint: &Endpoint) -> Route {
    let route = endpoint.route();
    let endpoint = Rc::new(endpoint.clone());
    route.wrap(from_fn(move |req: ServiceRequest, next: Next<BoxBody>| {
        check(Rc::clone(&endpoint), req, next)
    }))
}
