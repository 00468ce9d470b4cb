//! The payment of a card order: by the fields of Stripe, or at the test provider, which moves no money and accepts this
//! machine only.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use domain::card;
use domain::orders::{Order, Payment};
use entity::OrderId;
use entity::orders::{PaymentMethod, Status};
use entity::users::Role;
use pages::shop::{Pay, PayState};
use pages::{Notice, Refusal};

use crate::handlers::dev;
use crate::http::headers;
use crate::pages::here::{Here, fresh};
use crate::pages::order_view::{found, is_test, seconds_to_pay};
use crate::schema::endpoint::Endpoint;
use crate::schema::form::Form;
use crate::schema::path::{Id, Name};
use crate::schema::problem::{Code, Problem};
use crate::schema::response::Response;

const EVERYONE: &[Role] = &[Role::Admin, Role::Staff, Role::Customer];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::page(
            "showPayment",
            "/shop/{business}/orders/{order_id}/pay",
            show,
        )
        .for_roles(EVERYONE)
        .codes(&[Code::OrderNotFound]),
        Endpoint::page(
            "showPaymentResult",
            "/shop/{business}/orders/{order_id}/paid",
            returned,
        )
        .for_roles(EVERYONE)
        .codes(&[Code::OrderNotFound]),
        Endpoint::action("sendPayment", "/shop/{business}/orders/{order_id}/pay", pay)
            .for_roles(EVERYONE)
            .of_browsers_only(),
    ]
}

fn address(here: &Here, id: OrderId) -> String {
    here.path(&format!("/orders/{id}/pay"))
}

async fn show(here: Here, id: Id<OrderId>) -> Response {
    let (whole, order) = found(&here, id.0).await?;
    if order.payment_method != PaymentMethod::Card {
        return Ok(here.see(&here.path(&format!("/orders/{}", id.0)), None));
    }
    let seconds_left = seconds_to_pay(&order);
    let state = match order.status {
        Status::Paid | Status::Fulfilled => PayState::Paid,
        _ if seconds_left.is_none() => PayState::Closed,
        _ => open_state(&here, id.0).await?,
    };
    let declined = was_declined(&whole);
    let mut form = fresh();
    if declined && matches!(state, PayState::Test | PayState::Stripe { .. }) {
        form.refusal = Some(Refusal {
            title: "The payment was declined".to_owned(),
            text: "No money was moved. You can try again while the units are held.".to_owned(),
            figures: Vec::new(),
            links: Vec::new(),
        });
    }
    let is_stripe = matches!(state, PayState::Stripe { .. });
    let page = here.page(&Pay {
        layout: here.layout().await?,
        order,
        form,
        state,
        declined,
        seconds_left: seconds_left.unwrap_or(0),
    });
    match is_stripe {
        true => page.map(with_stripe),
        false => page,
    }
}

/// The state of an order that can be paid.
async fn open_state(here: &Here, id: OrderId) -> Result<PayState, Problem> {
    if is_test(here) {
        return Ok(PayState::Test);
    }
    let Some(key) = &here.state.publishable_key else {
        return Ok(PayState::Closed);
    };
    let secret = card::client_secret(&here.state.database, here.caller()?, id).await;
    let secret = secret.map_err(|error| here.problem(error))?;
    let back = here.path(&format!("/orders/{id}/paid"));
    let back = here.state.site.absolute(here.req.headers(), &back);
    Ok(match (secret, back) {
        (Some(client_secret), Some(return_url)) => PayState::Stripe {
            publishable_key: key.to_string(),
            client_secret,
            return_url,
        },
        _ => PayState::Preparing,
    })
}

/// Whether an attempt to pay was declined.
fn was_declined(whole: &Order) -> bool {
    whole.payments.iter().any(|payment| {
        matches!(
            payment,
            Payment::ByCard {
                failure: Some(_),
                ..
            }
        )
    })
}

/// The page with the policy that lets Stripe's script run.
fn with_stripe(mut response: HttpResponse) -> HttpResponse {
    let policy = HeaderValue::from_static(headers::STRIPE_PAGE);
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, policy);
    response
}

/// Where Stripe sends the buyer back. What it adds to the address is not believed, and does not stay there: the state
/// is that of the database, which the webhook changes.
async fn returned(here: Here, id: Id<OrderId>) -> Response {
    if !here.req.query_string().is_empty() {
        return Ok(here.see(&here.path(&format!("/orders/{}/paid", id.0)), None));
    }
    let (whole, order) = found(&here, id.0).await?;
    let state = match order.status {
        _ if order.payment_method != PaymentMethod::Card => PayState::Closed,
        Status::Paid | Status::Fulfilled => PayState::Paid,
        _ if seconds_to_pay(&order).is_some() => PayState::Waiting,
        _ => PayState::Closed,
    };
    here.page(&Pay {
        layout: here.layout().await?,
        order,
        form: fresh(),
        state,
        declined: was_declined(&whole),
        seconds_left: 0,
    })
}

async fn pay(here: Here, id: Id<OrderId>, form: Form) -> Response {
    if !is_test(&here) {
        return Err(Problem::of_status(actix_web::http::StatusCode::NOT_FOUND));
    }
    let (whole, order) = found(&here, id.0).await?;
    let succeeded = match form.text("outcome") {
        "succeeded" => true,
        "declined" => false,
        _ => return Err(Problem::fault("/outcome", "must be succeeded or declined")),
    };
    let intent = whole
        .payments
        .into_iter()
        .find_map(|payment| match payment {
            Payment::ByCard { intent, .. } => intent,
            Payment::OnAccount { .. } => None,
        });
    // A form that is sent again finds the order paid.
    if let (Some(intent), Some(_)) = (intent, seconds_to_pay(&order)) {
        dev::report(&here.state, Name(intent), succeeded).await?;
    }
    match succeeded {
        true => {
            let order = here.path(&format!("/orders/{}", id.0));
            Ok(here.see(&order, Some(Notice::Paid)))
        }
        false => Ok(here.see(&address(&here, id.0), None)),
    }
}
