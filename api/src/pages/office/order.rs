//! The page of an order, with what its reader may do and why something is not possible, and its packing slip.

use chrono::{DateTime, Utc};
use domain::card::refunds;
use domain::orders::{self, About, Order, Payment};
use domain::receivables::{credit_notes, write_offs};
use domain::{Paging, cancellation};
use entity::orders::{PaymentMethod, Status};
use entity::{Money, OrderId};
use pages::office::{Action, Actions, Entry, Event, OrderPage, OrderPaper};
use sea_orm::ActiveEnum;

use super::STAFF;
use super::operations::{CANCEL, CREDIT, REFUND, SHIP, WRITE_OFF};
use crate::pages::here::{Here, fresh};
use crate::pages::order_view::found;
use crate::schema::endpoint::Endpoint;
use crate::schema::path::Id;
use crate::schema::problem::{Code, Problem};
use crate::schema::response::Response;

/// The most credit notes and the most write-offs of an order that its page shows.
const MAX_DOCUMENTS: u64 = 200;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::page(
            "showOfficeOrder",
            "/office/{business}/orders/{order_id}",
            read,
        )
        .for_roles(STAFF)
        .codes(&[Code::OrderNotFound]),
        Endpoint::page(
            "showPackingSlip",
            "/office/{business}/orders/{order_id}/packing-slip",
            packing_slip,
        )
        .for_roles(STAFF)
        .codes(&[Code::OrderNotFound]),
        Endpoint::page(
            "showOfficeConfirmation",
            "/office/{business}/orders/{order_id}/confirmation",
            confirmation,
        )
        .for_roles(STAFF)
        .codes(&[Code::OrderNotFound]),
    ]
}

async fn read(here: Here, id: Id<OrderId>) -> Response {
    here.page(&page(&here, id.0, None).await?)
}

async fn packing_slip(here: Here, id: Id<OrderId>) -> Response {
    paper(&here, id.0, true).await
}

async fn confirmation(here: Here, id: Id<OrderId>) -> Response {
    paper(&here, id.0, false).await
}

async fn paper(here: &Here, id: OrderId, is_slip: bool) -> Response {
    let (_, order) = found(here, id).await?;
    here.page(&OrderPaper {
        frame: here.frame().await?,
        order,
        is_slip,
    })
}

/// The page of an order. `refused` is the form of an operation that was refused.
pub(super) async fn page(
    here: &Here,
    id: OrderId,
    refused: Option<(&str, pages::Form)>,
) -> Result<OrderPage, Problem> {
    let (whole, order) = found(here, id).await?;
    let (credits, credited) = credits(here, id).await?;
    let creditable = orders::creditable(&whole.order, credited);
    let mut actions = actions(here, &whole, creditable)?;
    if let Some((operation, form)) = refused {
        put(&mut actions, operation, form);
    }
    Ok(OrderPage {
        frame: here.frame().await?,
        customer_id: whole.order.customer_id,
        attention: whole.order.attention(),
        events: whole.history.iter().map(event_of).collect(),
        tables: vec![
            ("Payments", whole.payments.iter().map(payment_of).collect()),
            ("Refunds", refunds_of(&whole)),
            ("Disputes", disputes_of(&whole)),
            ("Credit notes and write-offs", credits),
        ],
        actions,
        order,
    })
}

/// Replaces the form of an action by the refused one, unless the action has become impossible, which the page explains.
fn put(actions: &mut Actions, operation: &str, form: pages::Form) {
    let action = match operation {
        SHIP => &mut actions.ship,
        CANCEL => &mut actions.cancel,
        REFUND => &mut actions.refund,
        CREDIT => &mut actions.credit,
        WRITE_OFF => &mut actions.write_off,
        _ => return,
    };
    if let Some(action) = action {
        action.form = pages::Form {
            scope: action.form.scope,
            ..form
        };
    }
}

/// The reader's actions on the order, each with its obstacle.
fn actions(here: &Here, whole: &Order, creditable: Money) -> Result<Actions, Problem> {
    let (order, role) = (&whole.order, here.caller()?.authority.role());
    let is_by_card = order.payment_method == PaymentMethod::Card;
    let action = |operation: &str, scope, is_of_kind: bool, possible: Result<(), domain::Error>| {
        (is_of_kind && here.may(operation)).then(|| Action {
            form: pages::Form { scope, ..fresh() },
            obstacle: possible
                .err()
                .map(|error| here.problem(error).detail().to_owned()),
        })
    };
    let not_cancelled = || match order.status {
        Status::Cancelled => Err(domain::Error::OrderCancelled(order.id)),
        _ => Ok(()),
    };
    let due = match order.amount_due > Money::ZERO {
        true => Ok(()),
        false => Err(domain::Error::Overpayment {
            amount_due: order.amount_due,
            order_id: Some(order.id),
        }),
    };
    let has_goods = creditable > Money::ZERO || !whole.items.is_empty();
    let credit = match has_goods {
        true => not_cancelled(),
        false => Err(domain::Error::NothingToCredit),
    };
    Ok(Actions {
        ship: action(SHIP, "ship-", true, orders::check_fulfilment(role, order)),
        cancel: action(CANCEL, "cancel-", true, cancellation::check(role, whole)),
        refund: action(REFUND, "refund-", is_by_card, refunds::check(whole)),
        credit: action(CREDIT, "credit-", !is_by_card, credit),
        write_off: action(
            WRITE_OFF,
            "write-off-",
            !is_by_card,
            not_cancelled().and(due),
        ),
        is_disputed: orders::disputes::check(&whole.disputes).is_err(),
        refundable: refunds::refundable(order),
        creditable,
    })
}

fn event_of(step: &orders::Step) -> Event {
    Event {
        at: step.at,
        status: step.to,
        role: step.actor_role.clone(),
    }
}

fn payment_of(payment: &Payment) -> Entry {
    match payment {
        Payment::OnAccount {
            method,
            amount,
            received_at,
            ..
        } => Entry {
            at: Some(*received_at),
            text: method.clone(),
            detail: String::new(),
            amount: *amount,
            state: "received".to_owned(),
        },
        Payment::ByCard {
            provider,
            intent,
            amount,
            status,
            failure,
            ..
        } => Entry {
            at: None,
            text: format!("Card, {provider}"),
            detail: failure.clone().or(intent.clone()).unwrap_or_default(),
            amount: *amount,
            state: status.to_value().replace('_', " "),
        },
    }
}

fn refunds_of(whole: &Order) -> Vec<Entry> {
    let refunds = whole.refunds.iter().map(|refund| Entry {
        at: Some(refund.created_at),
        text: refund.reason.clone(),
        detail: refund.failure.clone().unwrap_or_default(),
        amount: refund.amount,
        state: refund.status.to_value().replace('_', " "),
    });
    refunds.collect()
}

fn disputes_of(whole: &Order) -> Vec<Entry> {
    let disputes = whole.disputes.iter().map(|dispute| Entry {
        at: Some(dispute.created_at),
        text: dispute.reason.replace('_', " "),
        detail: dispute.provider_id.clone(),
        amount: dispute.amount,
        state: dispute.status.to_value().replace('_', " "),
    });
    disputes.collect()
}

/// The credit notes and write-offs of an order, the oldest first, and the sum of those in effect.
async fn credits(here: &Here, id: OrderId) -> Result<(Vec<Entry>, Money), Problem> {
    let (database, caller) = (&here.state.database, here.caller()?);
    let about = About {
        order_id: Some(id),
        ..About::default()
    };
    let problem = |error| here.problem(error);
    let notes = credit_notes::list(database, caller, &about, &first()).await;
    let notes = notes.map_err(problem)?.rows;
    let given_up = write_offs::list(database, caller, &about, &first()).await;
    let given_up = given_up.map_err(problem)?.rows;
    let notes = notes.iter().map(|one| {
        let note = &one.note;
        let of = (note.created_at, &note.reason, note.amount);
        credit("Credit note", of, one.reversal.is_some())
    });
    let write_offs = given_up.iter().map(|one| {
        let write_off = &one.write_off;
        let of = (write_off.created_at, &write_off.reason, write_off.amount);
        credit("Write-off", of, one.reversal.is_some())
    });
    let mut credits: Vec<(Entry, bool)> = notes.chain(write_offs).collect();
    credits.sort_by_key(|(entry, _)| entry.at);
    let in_effect = credits.iter().filter(|(_, is_reversed)| !is_reversed);
    let in_effect = in_effect.fold(Money::ZERO, |sum, (entry, _)| sum + entry.amount);
    let entries = credits.into_iter().map(|(entry, _)| entry);
    Ok((entries.collect(), in_effect))
}

/// The first page of the documents of an order.
fn first<K>() -> Paging<K> {
    Paging {
        limit: MAX_DOCUMENTS,
        after: None,
    }
}

/// A credit note or write-off, and whether it is reversed.
fn credit(
    text: &str,
    (at, reason, amount): (DateTime<Utc>, &String, Money),
    is_reversed: bool,
) -> (Entry, bool) {
    let entry = Entry {
        at: Some(at),
        text: text.to_owned(),
        detail: reason.clone(),
        amount,
        state: if is_reversed { "reversed" } else { "in effect" }.to_owned(),
    };
    (entry, is_reversed)
}
