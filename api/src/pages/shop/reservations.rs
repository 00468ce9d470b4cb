//! Reservations: units that are held for a buyer, or a place in the waitlist, and the order that they become.

use chrono::Utc;
use domain::desk::purchase::Receipt;
use domain::desk::{Command, Confirmation, Work};
use domain::stock::reservations::{self, CurrentReservation};
use domain::{Error, StoredResponse};
use entity::reservations::Status;
use entity::users::Role;
use entity::{Currency, ProductId, Quantity, ReservationId};
use pages::Notice;
use pages::shop::{CartLine, Reservation};

use crate::access::Authenticated;
use crate::handlers::checkout::place_order;
use crate::handlers::reservations::{ReservationRequest, reservation_of};
use crate::pages::here::{Here, fresh, is_about_form, sent};
use crate::pages::order_view::can_pay_here;
use crate::pages::shop::cart::Lines;
use crate::pages::shop::catalogue::product_page;
use crate::schema::endpoint::Endpoint;
use crate::schema::form::Form;
use crate::schema::path::Id;
use crate::schema::problem::{Code, Problem};
use crate::schema::response::{Response, see_other};
use crate::schema::text;

const EVERYONE: &[Role] = &[Role::Admin, Role::Staff, Role::Customer];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::action("sendReservation", "/shop/{business}/reservations", reserve)
            .for_roles(EVERYONE)
            .same_as(&["createReservation"]),
        Endpoint::page(
            "showReservation",
            "/shop/{business}/reservations/{reservation_id}",
            read,
        )
        .for_roles(EVERYONE)
        .codes(&[Code::ReservationNotFound]),
        Endpoint::action(
            "sendConfirmation",
            "/shop/{business}/reservations/{reservation_id}/confirm",
            confirm,
        )
        .for_roles(EVERYONE)
        .same_as(&["confirmReservation"]),
        Endpoint::action(
            "sendRelease",
            "/shop/{business}/reservations/{reservation_id}/cancel",
            release,
        )
        .for_roles(EVERYONE)
        .same_as(&["cancelReservation"]),
    ]
}

async fn reserve(here: Here, caller: Authenticated, mut form: Form) -> Response {
    let product = text::id(form.text("product_id"));
    // The fields of the page's other button.
    form.take("product_id");
    if let Some(quantity) = form.take("quantity") {
        form.set("items/0/quantity", &quantity);
    }
    let made = match form.read::<ReservationRequest>() {
        Ok(body) => {
            here.state.sweeper.watch(caller.business_id);
            let command = Command {
                work: Work::Reserve(reservation_of(&caller, body)?, reserved),
                key: form.key.clone(),
                caller: caller.0.clone(),
            };
            let made = here.state.desk.execute(command).await;
            made.map_err(|error| caller.problem(error))
        }
        Err(problem) => Err(problem),
    };
    match (made, product) {
        (Ok(outcome), _) => here.see_outcome(outcome, Notice::Held, None),
        (Err(problem), Some(product)) if is_about_form(&problem) => {
            let page = product_page(&here, product, sent(&form, &problem, &[])).await?;
            here.refused(problem, &page)
        }
        (Err(problem), _) => Err(problem),
    }
}

/// The response to a reservation: the way to it.
fn reserved(current: &CurrentReservation, _: Currency) -> StoredResponse {
    see_other(&format!("reservations/{}", current.reservation.id))
}

async fn read(here: Here, id: Id<ReservationId>) -> Response {
    here.page(&page(&here, id.0, fresh()).await?)
}

async fn page(here: &Here, id: ReservationId, form: pages::Form) -> Result<Reservation, Problem> {
    let current = reservations::read(&here.state.database, here.caller()?, id).await;
    let current = current.map_err(|error| here.problem(error))?;
    let reservation = &current.reservation;
    let wanted: Vec<(ProductId, Quantity)> = reservation
        .items
        .iter()
        .filter_map(|item| Some((item.product_id, Quantity::new(item.quantity).ok()?)))
        .collect();
    let Lines { lines, .. } = Lines::of(here, &wanted).await?;
    let lines = lines.into_iter().map(|line| {
        let item = reservation
            .items
            .iter()
            .find(|item| item.product_id == line.product.id);
        CartLine {
            // The units are the buyer's at the reserved price, whatever else is in stock.
            line_total: item.map_or(line.line_total, |item| item.unit_price.times(item.quantity)),
            problem: None,
            ..line
        }
    });
    let mut layout = here.layout().await?;
    if current.status != Status::Active && layout.notice == Some(Notice::Held) {
        layout.notice = None;
    }
    Ok(Reservation {
        layout,
        id,
        status: current.status,
        place: current.place,
        seconds_left: (reservation.expires_at - Utc::now()).num_seconds(),
        hold_seconds: reservation.ttl_seconds.into(),
        lines: lines.collect(),
        total: reservation.total(),
        order_id: reservation.order_id,
        form,
    })
}

async fn confirm(here: Here, caller: Authenticated, id: Id<ReservationId>, form: Form) -> Response {
    let problem = match confirmed(&here, &caller, id.0, &form).await {
        Ok(response) => return Ok(response),
        Err(problem) => problem,
    };
    if !is_about_form(&problem) {
        return Err(problem);
    }
    let page = page(&here, id.0, sent(&form, &problem, &[])).await?;
    here.refused(problem, &page)
}

async fn confirmed(
    here: &Here,
    caller: &Authenticated,
    id: ReservationId,
    form: &Form,
) -> Response {
    let target = reservations::target(&here.state.database, caller, id).await;
    let target = target.map_err(|error| caller.problem(error))?;
    let confirmation = Confirmation::from(target);
    match form.text("payment_method") {
        "card" if can_pay_here(here) => {
            let by_card = |terms| Work::ConfirmByCard(confirmation, terms);
            let placed = place_order(&here.state, caller, form.key.clone(), by_card).await?;
            let target = here.path(&format!("/orders/{}/pay", placed.1.order_id));
            Ok(here.see(&target, Some(Notice::OrderPlaced)))
        }
        "card" => Err(caller.problem(Error::NoPaymentProvider)),
        "credit" => {
            let command = Command {
                work: Work::Confirm(confirmation, ordered),
                key: form.key.clone(),
                caller: caller.0.clone(),
            };
            let outcome = here.state.desk.execute(command).await;
            let outcome = outcome.map_err(|error| caller.problem(error))?;
            here.see_outcome(outcome, Notice::OrderPlaced, None)
        }
        _ => Err(Problem::fault("/payment_method", "must be credit or card")),
    }
}

/// The response to a reservation that became an order: the way to the order.
fn ordered(receipt: &Receipt) -> StoredResponse {
    see_other(&format!("../../orders/{}", receipt.order_id))
}

async fn release(here: Here, caller: Authenticated, id: Id<ReservationId>, form: Form) -> Response {
    let target = reservations::target(&here.state.database, &caller, id.0).await;
    let target = target.map_err(|error| caller.problem(error))?;
    let command = Command {
        work: Work::Cancel(target, released),
        key: form.key.clone(),
        caller: caller.0.clone(),
    };
    match here.state.desk.execute(command).await {
        Ok(outcome) => here.see_outcome(outcome, Notice::HoldReleased, None),
        Err(error) => {
            let problem = caller.problem(error);
            if !is_about_form(&problem) {
                return Err(problem);
            }
            let page = page(&here, id.0, sent(&form, &problem, &[])).await?;
            here.refused(problem, &page)
        }
    }
}

/// The response to a reservation that was released: its page, beside the form's target.
fn released(current: &CurrentReservation, _: Currency) -> StoredResponse {
    see_other(&format!("../{}", current.reservation.id))
}
