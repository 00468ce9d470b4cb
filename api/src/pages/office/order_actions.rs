//! The actions on an order: each is a form of its page.

use domain::card::refunds;
use domain::orders::{self, Order};
use domain::receivables::{credit_notes, write_offs};
use domain::{Outcome, cancellation};
use entity::OrderId;
use entity::users::Role;
use pages::{Notice, Refusal};

use super::STAFF;
use super::operations::{CANCEL, CREDIT, REFUND, SHIP, WRITE_OFF};
use super::order::page;
use crate::access::Authenticated;
use crate::handlers::credit_notes::CreditNoteRequest;
use crate::handlers::orders::{FulfilmentRequest, RefundRequest};
use crate::handlers::write_offs::WriteOffRequest;
use crate::pages::here::{Here, is_about_form, sent};
use crate::schema::endpoint::Endpoint;
use crate::schema::form::Form;
use crate::schema::path::Id;
use crate::schema::problem::Problem;
use crate::schema::response::{Response, see_other};

const ADMIN: &[Role] = &[Role::Admin];

/// Those who may cancel in the API. Customers do it in the store.
const EVERYONE: &[Role] = &[Role::Admin, Role::Staff, Role::Customer];

/// The field that says what is refunded or credited: `rest`, `amount` or `items`.
const SCOPE: &str = "scope";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::action(SHIP, "/office/{business}/orders/{order_id}/ship", ship)
            .for_roles(STAFF)
            .same_as(&["fulfillOrder"]),
        Endpoint::action(
            CANCEL,
            "/office/{business}/orders/{order_id}/cancel",
            cancel,
        )
        .for_roles(EVERYONE)
        .same_as(&["cancelOrder"]),
        Endpoint::action(
            REFUND,
            "/office/{business}/orders/{order_id}/refund",
            refund,
        )
        .for_roles(ADMIN)
        .same_as(&["refundOrder"]),
        Endpoint::action(
            CREDIT,
            "/office/{business}/orders/{order_id}/credit-note",
            credit,
        )
        .for_roles(ADMIN)
        .same_as(&["createCreditNote"]),
        Endpoint::action(
            WRITE_OFF,
            "/office/{business}/orders/{order_id}/write-off",
            write_off,
        )
        .for_roles(ADMIN)
        .same_as(&["createWriteOff"]),
    ]
}

/// The address of the page of an order.
fn address(here: &Here, id: OrderId) -> String {
    here.path(&format!("/orders/{id}"))
}

/// The way to the order, or its page with the form that was refused.
async fn answer<T>(
    here: &Here,
    id: OrderId,
    (operation, form): (&str, &Form),
    done: Result<Outcome<T>, Problem>,
    notice: Notice,
) -> Response {
    let problem = match done {
        Ok(outcome) => return here.see_outcome(outcome, notice, None),
        Err(problem) => problem,
    };
    if !is_about_form(&problem) || here.confined_to().is_some() {
        return Err(problem);
    }
    let mut again = sent(form, &problem, &[]);
    // The words for buyers say what is with their order.
    again.refusal = again.refusal.map(|_| Refusal {
        title: problem.code().title().to_owned(),
        text: problem.detail().to_owned(),
        figures: Vec::new(),
        links: Vec::new(),
    });
    let page = page(here, id, Some((operation, again))).await?;
    here.refused(problem, &page)
}

async fn ship(here: Here, caller: Authenticated, id: Id<OrderId>, form: Form) -> Response {
    let target = address(&here, id.0);
    let render = |_: &Order| see_other(&target);
    let write = caller.write(form.key.as_ref(), &render);
    let done = match form.read::<FulfilmentRequest>() {
        Ok(body) => orders::fulfil(&here.state.database, &write, id.0, body.fulfilment())
            .await
            .map_err(|error| caller.problem(error)),
        Err(problem) => Err(problem),
    };
    answer(&here, id.0, (SHIP, &form), done, Notice::OrderShipped).await
}

async fn cancel(here: Here, caller: Authenticated, id: Id<OrderId>, form: Form) -> Response {
    let target = address(&here, id.0);
    let render = |_: &Order| see_other(&target);
    let write = caller.write(form.key.as_ref(), &render);
    let done = cancellation::cancel(&here.state.database, &write, id.0).await;
    if done.is_ok() {
        // A card order's refund or cancelled intent is due at the provider.
        here.state.payment_worker.wake(caller.business_id);
    }
    let done = done.map_err(|error| caller.problem(error));
    answer(&here, id.0, (CANCEL, &form), done, Notice::OrderCancelled).await
}

async fn refund(here: Here, caller: Authenticated, id: Id<OrderId>, form: Form) -> Response {
    let target = address(&here, id.0);
    let render = |_: &Order| see_other(&target);
    let write = caller.write(form.key.as_ref(), &render);
    let new = scoped(&form, true)
        .and_then(|form| form.read::<RefundRequest>())
        .and_then(|body| body.refund(&here.state, &caller));
    let done = match new {
        Ok(new) => refunds::request(&here.state.database, &write, id.0, &new)
            .await
            .map_err(|error| caller.problem(error)),
        Err(problem) => Err(problem),
    };
    if done.is_ok() {
        here.state.payment_worker.wake(caller.business_id);
    }
    answer(&here, id.0, (REFUND, &form), done, Notice::Refunded).await
}

async fn credit(here: Here, caller: Authenticated, id: Id<OrderId>, form: Form) -> Response {
    let target = address(&here, id.0);
    let render = |_: &_| see_other(&target);
    let write = caller.write(form.key.as_ref(), &render);
    let new = scoped(&form, false)
        .and_then(|form| form.read::<CreditNoteRequest>())
        .and_then(|body| body.credit_note(id.0));
    let done = match new {
        Ok(new) => credit_notes::create(&here.state.database, &write, &new)
            .await
            .map_err(|error| caller.problem(error)),
        Err(problem) => Err(problem),
    };
    answer(&here, id.0, (CREDIT, &form), done, Notice::Credited).await
}

async fn write_off(here: Here, caller: Authenticated, id: Id<OrderId>, form: Form) -> Response {
    let target = address(&here, id.0);
    let render = |_: &_| see_other(&target);
    let write = caller.write(form.key.as_ref(), &render);
    let done = match form.read::<WriteOffRequest>() {
        Ok(body) => write_offs::create(&here.state.database, &write, &body.write_off(id.0))
            .await
            .map_err(|error| caller.problem(error)),
        Err(problem) => Err(problem),
    };
    answer(&here, id.0, (WRITE_OFF, &form), done, Notice::WrittenOff).await
}

/// The form with the fields of its scope alone. An empty amount must not become all that is left.
fn scoped(form: &Form, has_rest: bool) -> Result<Form, Problem> {
    let mut form = form.clone();
    let scope = form.take(SCOPE).unwrap_or_default();
    let unused: Vec<String> = form
        .names_below("items")
        .filter_map(|name| name.strip_suffix("/quantity"))
        .filter(|index| {
            form.text(&format!("items/{index}/quantity"))
                .trim()
                .is_empty()
        })
        .map(|index| format!("items/{index}"))
        .collect();
    for item in unused {
        form.remove_below(&item);
    }
    match scope.as_str() {
        "rest" if has_rest => {
            for name in ["amount", "items", "restock"] {
                form.remove_below(name);
            }
        }
        "amount" if form.text("amount").trim().is_empty() => {
            return Err(Problem::fault("/amount", "is required"));
        }
        "amount" => {
            for name in ["items", "restock"] {
                form.remove_below(name);
            }
        }
        "items" if form.names_below("items").next().is_none() => {
            return Err(Problem::fault(
                "/scope",
                "at least one item needs a quantity",
            ));
        }
        "items" => form.remove_below("amount"),
        _ => return Err(Problem::fault("/scope", "must be chosen")),
    }
    Ok(form)
}
