//! The payment of a card order at the test provider, which moves no money and accepts this machine only.

use domain::orders::Payment;
use entity::OrderId;
use entity::orders::{PaymentMethod, Status};
use entity::users::Role;
use pages::shop::{Pay, PayState};
use pages::{Notice, Refusal};

use crate::handlers::dev;
use crate::pages::here::{Here, fresh};
use crate::pages::order_view::{can_pay_here, found, seconds_to_pay};
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
        _ if seconds_left.is_some() && can_pay_here(&here) => PayState::Test,
        _ => PayState::Closed,
    };
    let declined = whole.payments.iter().any(|payment| {
        matches!(
            payment,
            Payment::ByCard {
                failure: Some(_),
                ..
            }
        )
    });
    let mut form = fresh();
    if declined && state == PayState::Test {
        form.refusal = Some(Refusal {
            title: "The payment was declined".to_owned(),
            text: "No money was moved. You can try again while the units are held.".to_owned(),
            figures: Vec::new(),
            links: Vec::new(),
        });
    }
    here.page(&Pay {
        layout: here.layout().await?,
        order,
        form,
        state,
        seconds_left: seconds_left.unwrap_or(0),
    })
}

async fn pay(here: Here, id: Id<OrderId>, form: Form) -> Response {
    if !can_pay_here(&here) {
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
