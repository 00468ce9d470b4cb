//! `/api/dev/payments`: pays with the offline provider. Accepts requests from this machine only.

use actix_web::web::Data;
use domain::Error;
use domain::card;
use domain::card::checkout::{Event, EventKind, EventOutcome};
use domain::card::provider::Offline;
use entity::Currency;
use uuid::Uuid;

use super::webhooks::{ReceivedView, received};
use crate::schema::endpoint::Endpoint;
use crate::schema::path::Name;
use crate::schema::problem::{Code, Problem};
use crate::schema::response::Response;
use crate::state::State;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(
            "succeedPayment",
            "/api/dev/payments/{intent}/succeed",
            succeed,
        )
        .summary("Report a payment as succeeded, in full")
        .for_this_machine()
        .ok::<ReceivedView>()
        .codes(&[Code::NotFound]),
        Endpoint::post("failPayment", "/api/dev/payments/{intent}/fail", fail)
            .summary("Report a payment as declined; it can be retried")
            .for_this_machine()
            .ok::<ReceivedView>()
            .codes(&[Code::NotFound]),
    ]
}

async fn succeed(state: Data<State>, intent: Name) -> Response {
    report(&state, intent, true).await?;
    Ok(received())
}

async fn fail(state: Data<State>, intent: Name) -> Response {
    report(&state, intent, false).await?;
    Ok(received())
}

/// Reports a payment as succeeded in full, or as declined.
pub(crate) async fn report(state: &State, intent: Name, succeeded: bool) -> Result<(), Problem> {
    match succeeded {
        true => tell(state, intent, "payment_intent.succeeded", EventKind::Paid).await,
        false => {
            let declined = |_due| EventKind::Failed("declined".to_owned());
            tell(state, intent, "payment_intent.payment_failed", declined).await
        }
    }
}

/// Sends the domain the event that a real provider would send.
async fn tell(
    state: &State,
    Name(intent): Name,
    kind: &str,
    event_kind: impl FnOnce(domain::card::provider::Received) -> EventKind,
) -> Result<(), Problem> {
    let unknown = || {
        Problem::new(Code::NotFound, "There is no such payment.").with("intent", intent.as_str())
    };
    let problem = |error| match error {
        Error::OrderNotFound(_) => unknown(),
        // These errors contain no amounts for the client, so the currency has no effect.
        other => Problem::of(other, Currency::USD),
    };
    let (business_id, order_id) = Offline::order_of(&intent).ok_or_else(unknown)?;
    let (amount, currency) = card::amount_due(&state.database, business_id, order_id)
        .await
        .map_err(problem)?;
    let event = Event {
        provider: Offline::NAME,
        id: format!("evt_offline_{}", Uuid::now_v7().simple()),
        kind: kind.to_owned(),
        business_id,
        order_id,
        intent: intent.clone(),
        event_kind: event_kind(Offline::received(amount, currency)),
    };
    let outcome = card::receive(&state.database, &Offline, &event)
        .await
        .map_err(problem)?;
    if outcome == EventOutcome::NotOurs {
        return Err(unknown());
    }
    state.sealer.note(business_id);
    state.payment_worker.wake(business_id);
    Ok(())
}
