//! `/shop/{business}/stock`: the stock of all products of a page as one event stream. Browsers open few connections to
//! a host, so a page has one stream.

use std::collections::BTreeSet;

use actix_web::web::Bytes;
use domain::stock::availability::Observation;
use entity::ProductId;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::select_all;
use pages::{StockText, Template};

use crate::handlers::availability::{observations, streamed};
use crate::handlers::products::sees_inactive;
use crate::http::connection_progress::Watched;
use crate::pages::here::Here;
use crate::schema::endpoint::Endpoint;
use crate::schema::problem::Problem;
use crate::schema::query::Query;
use crate::schema::response::Response;
use crate::schema::text;

/// The parameter with the ids of the products, with commas between them.
const PRODUCTS: &str = "products";

/// The most products of a stream.
const MAX_PRODUCTS: usize = 50;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::page("watchStock", "/shop/{business}/stock", watch).public_of_business()]
}

/// The address of the stream of these products; `None` if there are none.
pub(super) fn address(here: &Here, products: &[ProductId]) -> Option<String> {
    let ids = products.iter().take(MAX_PRODUCTS);
    let ids: Vec<String> = ids.map(ToString::to_string).collect();
    let stream = || format!("{}?{PRODUCTS}={}", here.path("/stock"), ids.join(","));
    (!ids.is_empty()).then(stream)
}

async fn watch(here: Here, watched: Watched) -> Response {
    let named = Query::of(here.req.query_string()).take_text(PRODUCTS);
    let named = named.unwrap_or_default();
    let ids: Option<BTreeSet<ProductId>> = named.split(',').map(text::id).collect();
    let ids = ids.filter(|ids| ids.len() <= MAX_PRODUCTS).ok_or_else(|| {
        let message = format!("must be 1 to {MAX_PRODUCTS} ids with commas between them");
        Problem::fault("?products", &message)
    })?;
    let (hub, business) = (&here.state.availability, here.visit.business.id);
    let inactive_too = sees_inactive(&here.visitor);
    let watching = ids.into_iter().map(async |id| {
        let watcher = hub.watch(business, id, inactive_too).await;
        watcher.map(|watcher| (id, watcher))
    });
    let (mut streams, mut failure) = (Vec::new(), None);
    for watcher in join_all(watching).await {
        match watcher {
            Ok((id, watcher)) => {
                let events = observations(watcher).map(move |observation| event(id, &observation));
                streams.push(events.boxed_local());
            }
            Err(error) => failure = Some(error),
        }
    }
    // A product that was taken off sale meanwhile does not concern the others.
    match (streams.is_empty(), failure) {
        (true, Some(error)) => Err(here.problem(error)),
        _ => Ok(streamed(watched, select_all(streams))),
    }
}

/// An event: the product's id as its name, and the text about its stock.
fn event(id: ProductId, observation: &Observation) -> Bytes {
    let text = StockText {
        available: observation.availability.available,
        waiting: observation.availability.waiting,
    };
    let text = text.render().unwrap_or_else(|error| {
        tracing::error!(%error, "a text about stock cannot be rendered");
        String::new()
    });
    let lines: Vec<String> = text.lines().map(|line| format!("data: {line}\n")).collect();
    Bytes::from(format!("event: {id}\n{}\n", lines.concat()))
}
