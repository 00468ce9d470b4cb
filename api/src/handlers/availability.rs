//! `/api/products/{product_id}/availability/stream`: the availability of a product as server-sent events.
//!
//! Watchers add no database load of their own. Browsers read the events with `EventSource`, which reconnects when a
//! stream ends. Each stream ends within 15 minutes, so that permissions are checked again.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::rt::time::{Instant, sleep, sleep_until};
use actix_web::web::{Bytes, Data};
use domain::stock::availability::{Observation, Watcher};
use entity::ProductId;
use futures_util::{Stream, StreamExt, stream};
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

/// The maximum silence. Many proxies close a connection after a minute without data.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The lifetime of a stream in seconds. It is random, so that streams that began together do not reconnect together.
const STREAM_SECONDS: std::ops::Range<u64> = 720..900;

/// The delay before a client reconnects, in milliseconds, random for the same reason.
const RECONNECT_MILLISECONDS: std::ops::Range<u32> = 1_000..5_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("streamAvailability", "/api/products/{product_id}/availability/stream", watch)
            .summary(
                "Watch the available units of a product: an event {available, on_hand, waiting} now and after each \
                 change, at most two a second, for at most 15 minutes",
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

/// One event. Its id is the time of the state in microseconds: a higher id is newer, whichever process sent it.
fn event(observation: &Observation) -> Bytes {
    let view = AvailabilityView {
        available: observation.availability.available,
        on_hand: observation.availability.on_hand,
        waiting: observation.availability.waiting,
    };
    let id = observation.at.timestamp_micros();
    Bytes::from(format!("id: {id}\ndata: {}\n\n", json(&view)))
}

/// The stream to one client.
struct Feed {
    events: Pin<Box<dyn Stream<Item = Bytes>>>,
    watched: Watched,
    begun: bool,
    ends: Instant,
}

impl Feed {
    /// Waits for the next part to send. `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.begun {
            self.begun = true;
            let reconnect_after = rand::rng().random_range(RECONNECT_MILLISECONDS);
            return Some(Bytes::from(format!("retry: {reconnect_after}\n\n")));
        }
        tokio::select! {
            event = self.events.next() => event,
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
    Ok(streamed(
        watched,
        observations(watcher).map(|observation| event(&observation)),
    ))
}

/// What a watcher observes, until its product is gone.
pub(crate) fn observations(watcher: Watcher) -> impl Stream<Item = Observation> {
    stream::unfold(watcher, |mut watcher| async move {
        let observation = watcher.next().await?;
        Some((observation, watcher))
    })
}

/// The response that sends these events for as long as a stream lives.
pub(crate) fn streamed(
    watched: Watched,
    events: impl Stream<Item = Bytes> + 'static,
) -> HttpResponse {
    let lifetime = Duration::from_secs(rand::rng().random_range(STREAM_SECONDS));
    let feed = Feed {
        events: Box::pin(events),
        watched,
        begun: false,
        ends: Instant::now() + lifetime,
    };
    let parts = stream::unfold(feed, |mut feed| async move {
        // The connection counts as busy while there is nothing to send, which is not the client's fault. A client that
        // does not read is not polled, so its connection counts as idle.
        let _busy = feed.watched.busy();
        let part = feed.next().await?;
        Some((Ok::<_, Infallible>(part), feed))
    });
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, EVENTS))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(parts)
}
