//! `/api/products/{product_id}/availability/stream`: what is free of a product, live.
//!
//! Server-sent events. Browsers' `EventSource` reads them without a library, and calls again by itself when one has ended:
//! as streams do after a while, so that nobody watches for ever who might not begin any more.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::rt::time::{Instant, sleep, sleep_until};
use actix_web::web::{Bytes, Data};
use domain::stock::availability::{Sight, Watcher};
use entity::ProductId;
use futures_util::stream;
use rand::RngExt;
use serde::Serialize;

use super::products::sees_inactive;
use crate::access::Visitor;
use crate::http::connection_progress::Watched;
use crate::schema::endpoint::Endpoint;
use crate::schema::path::Id;
use crate::schema::problem::Code;
use crate::schema::response::{Response, json};
use crate::state::State;

const EVENTS: &str = "text/event-stream";

/// How long nothing may be said: proxies end connections on which nothing comes, most of them after a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a stream lasts, in seconds. Somewhere in between, so that those who began together do not come again together.
const LIFE: std::ops::Range<u64> = 720..900;

/// After how many milliseconds a client calls again, likewise.
const COME_AGAIN: std::ops::Range<u32> = 1_000..5_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("streamAvailability", "/api/products/{product_id}/availability/stream", watch)
            .summary(
                "Watch how many of a product can be sold: an event {available, on_hand, waiting} now and at each change, \
                 at most two a second, for 15 minutes at most",
            )
            .public_of_business()
            .text(EVENTS)
            .codes(&[Code::ProductNotFound]),
    ]
}

#[derive(Serialize)]
struct AvailabilityView {
    available: i64,
    on_hand: i64,
    waiting: i64,
}

/// One event. Its id is when it was so, in microseconds: of two, the higher is the newer, whichever process told it.
fn event(sight: &Sight) -> Bytes {
    let view = AvailabilityView {
        available: sight.availability.available,
        on_hand: sight.availability.on_hand,
        waiting: sight.availability.waiting,
    };
    let id = sight.at.timestamp_micros();
    Bytes::from(format!("id: {id}\ndata: {}\n\n", json(&view)))
}

/// A stream to one client.
struct Feed {
    watcher: Watcher,
    watched: Watched,
    begun: bool,
    ends: Instant,
}

impl Feed {
    /// What is to be sent next, when there is something. Nothing at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.begun {
            self.begun = true;
            let come_again = rand::rng().random_range(COME_AGAIN);
            return Some(Bytes::from(format!("retry: {come_again}\n\n")));
        }
        tokio::select! {
            sight = self.watcher.next() => sight.as_ref().map(event),
            () = sleep(HEARTBEAT) => Some(Bytes::from_static(b":\n\n")),
            () = sleep_until(self.ends) => None,
        }
    }
}

async fn watch(
    state: Data<State>,
    visitor: Visitor,
    id: Id<ProductId>,
    watched: Watched,
) -> Response {
    let watching = state
        .availability
        .watch(visitor.business_id, id.0, sees_inactive(&visitor));
    let watcher = watching.await.map_err(|error| visitor.problem(error))?;
    let life = Duration::from_secs(rand::rng().random_range(LIFE));
    let feed = Feed {
        watcher,
        watched,
        begun: false,
        ends: Instant::now() + life,
    };
    let events = stream::unfold(feed, |mut feed| async move {
        // Also while there is nothing to say: that is no fault of the client's. One that does not take what it was sent
        // is not asked for more, and then nothing here is busy.
        let _busy = feed.watched.busy();
        let part = feed.next().await?;
        Some((Ok::<_, Infallible>(part), feed))
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, EVENTS))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(events))
}
