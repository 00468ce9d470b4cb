//! `POST /api/webhooks/stripe`: events of Stripe, authenticated by their signature.

use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use domain::card;
use domain::card::checkout::EventOutcome;
use entity::Currency;
use serde::Serialize;
use utoipa::ToSchema;

use crate::payments::stripe::BadWebhook;
use crate::schema::body::Raw;
use crate::schema::endpoint::Endpoint;
use crate::schema::problem::{Code, Problem};
use crate::schema::response::Response;
use crate::state::State;

/// The header with the signature.
const SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("receiveStripeEvent", "/api/webhooks/stripe", receive)
            .summary("Receive an event of Stripe; each is processed once, and irrelevant events are acknowledged")
            .public()
            .signed()
            .ok::<ReceivedView>()
            .codes(&[Code::PaymentProviderError]),
    ]
}

/// The event was received.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"received": true}))]
pub(super) struct ReceivedView {
    received: bool,
}

/// The response to a received event.
pub(super) fn received() -> HttpResponse {
    HttpResponse::Ok().json(ReceivedView { received: true })
}

async fn receive(state: Data<State>, request: HttpRequest, body: Raw) -> Response {
    let webhooks = state.webhooks.as_ref().ok_or_else(invalid)?;
    let signature = signature(request.headers()).ok_or_else(invalid)?;
    let event = webhooks.read(signature, &body.0).await;
    let Some(event) = event.map_err(|bad| problem(&bad))? else {
        return Ok(received());
    };
    // The domain's errors contain no amounts for the client here, so the currency has no effect.
    let outcome = card::receive(&state.database, webhooks.provider(), &event)
        .await
        .map_err(|error| Problem::of(error, Currency::USD))?;
    tracing::info!(event = event.id, kind = event.kind, ?outcome, business_id = %event.business_id, "received an event of Stripe");
    if outcome == EventOutcome::Now {
        state.sealer.note(event.business_id);
        // A payment that arrived too late is due for a refund.
        state.payment_worker.wake(event.business_id);
    }
    Ok(received())
}

/// The signature header, if there is exactly one.
fn signature(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(SIGNATURE);
    let line = lines.next()?.to_str().ok()?;
    lines.next().is_none().then_some(line)
}

fn invalid() -> Problem {
    Problem::new(
        Code::InvalidSignature,
        "The Stripe-Signature header is not a valid signature of this body, or is too old.",
    )
}

fn problem(bad: &BadWebhook) -> Problem {
    match bad {
        BadWebhook::Signature(_) => invalid(),
        BadWebhook::NoEvent(error) => {
            tracing::error!(%error, "a webhook of Stripe cannot be read");
            Problem::new(
                Code::MalformedJson,
                format!("The body is not an event: {error}."),
            )
        }
        BadWebhook::Asking(failure) => {
            tracing::warn!(%failure, "the order of a webhook's payment cannot be asked for; Stripe sends the webhook again");
            Problem::new(
                Code::PaymentProviderError,
                "The payment provider did not return the order of the payment.",
            )
        }
    }
}
