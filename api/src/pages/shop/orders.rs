//! The orders of a customer, the page of one, and its papers.

use chrono::{DateTime, Utc};
use domain::cancellation;
use domain::foundation::search::Search;
use domain::orders::{self, Filter, OrderKey, Payment, transitions};
use entity::orders::Status;
use entity::users::Role;
use entity::{Money, OrderId, OrderNumber, refunds};
use pages::Notice;
use pages::shop::{Choice, OrderPage, OrderRow, Orders, Paper, PaperKind, Step};

use crate::access::Authenticated;
use crate::pages::here::{Here, fresh, is_about_form, sent};
use crate::pages::order_view::{can_pay_here, found, is_overdue, seconds_to_pay};
use crate::pages::shop::pictures;
use crate::schema::endpoint::Endpoint;
use crate::schema::form::Form;
use crate::schema::path::Id;
use crate::schema::problem::{Code, Problem};
use crate::schema::query::{Cursor, Query};
use crate::schema::response::{Response, see_other};

/// The orders of a page.
const PAGE: u64 = 50;

const EVERYONE: &[Role] = &[Role::Admin, Role::Staff, Role::Customer];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::page("showOrders", "/shop/{business}/orders", list).for_roles(&[Role::Customer]),
        Endpoint::page("showOrder", "/shop/{business}/orders/{order_id}", read)
            .for_roles(EVERYONE)
            .codes(&[Code::OrderNotFound]),
        Endpoint::page(
            "showConfirmation",
            "/shop/{business}/orders/{order_id}/confirmation",
            confirmation,
        )
        .for_roles(EVERYONE)
        .codes(&[Code::OrderNotFound]),
        Endpoint::page(
            "showReceipt",
            "/shop/{business}/orders/{order_id}/receipt",
            receipt,
        )
        .for_roles(EVERYONE)
        .codes(&[Code::OrderNotFound]),
        Endpoint::action(
            "sendCancellation",
            "/shop/{business}/orders/{order_id}/cancel",
            cancel,
        )
        .for_roles(EVERYONE)
        .same_as(&["cancelOrder"]),
    ]
}

/// The parameters of the list that are on or off.
const FILTERS: [(&str, &str); 2] = [("unpaid", "To be paid"), ("overdue", "Past due")];

async fn list(here: Here) -> Response {
    let mut query = Query::of(here.req.query_string()).without_empty();
    let q = query.take_text("q").unwrap_or_default();
    let search = match q.is_empty() {
        true => None,
        false => query.parse::<Search>("q", &q),
    };
    let chosen = FILTERS.map(|(name, _)| query.take::<bool>(name) == Some(true));
    let [unpaid, overdue] = chosen;
    let filter = Filter {
        search,
        unpaid: unpaid.then_some(true),
        overdue: overdue.then_some(true),
        ..Filter::default()
    };
    query.expect_cursor(|after: &OrderKey| after.is_of(filter.sort));
    let cursor = query.take::<Cursor<OrderKey>>("cursor");
    let fault = query.fault_of_page();
    let is_first = cursor.is_none();
    let paging = domain::Paging {
        limit: PAGE,
        after: cursor.map(|cursor| cursor.0),
    };
    let found = orders::list(&here.state.database, here.caller()?, &filter, &paging).await;
    let found = found.map_err(|error| here.problem(error))?;
    let now = Utc::now();
    let address = |cursor: Option<String>| address(&here, (&q, chosen), cursor.as_deref());
    let filters = FILTERS
        .iter()
        .zip(chosen)
        .map(|((name, text), chosen)| Choice {
            name,
            value: "true".to_owned(),
            text: (*text).to_owned(),
            chosen,
        });
    here.page(&Orders {
        layout: here.layout().await?,
        orders: found
            .rows
            .iter()
            .map(|row| row_of(&row.order, now))
            .collect(),
        filters: filters.collect(),
        fault,
        first: (!is_first).then(|| address(None)),
        next: found.next.map(|key| address(Some(Cursor(key).encode()))),
        q,
    })
}

/// The address of a page of the list.
fn address(here: &Here, (q, chosen): (&str, [bool; 2]), cursor: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if !q.is_empty() {
        query.append_pair("q", q);
    }
    for ((name, _), is_on) in FILTERS.iter().zip(chosen) {
        if is_on {
            query.append_pair(name, "true");
        }
    }
    if let Some(cursor) = cursor {
        query.append_pair("cursor", cursor);
    }
    match query.finish() {
        query if query.is_empty() => here.path("/orders"),
        query => format!("{}?{query}", here.path("/orders")),
    }
}

fn row_of(order: &entity::orders::Model, now: DateTime<Utc>) -> OrderRow {
    OrderRow {
        id: order.id,
        number: OrderNumber::of(order.id).to_string(),
        reference: order.reference.clone(),
        created_at: order.created_at,
        status: order.status,
        total: order.total_amount,
        due: order.amount_due,
        is_overdue: is_overdue(order, now),
    }
}

/// The steps of an order, the oldest first.
fn steps_of(here: &Here, whole: &orders::Order) -> Vec<Step> {
    let currency = here.visit.business.currency;
    let money = |amount| pages::text::money(amount, currency);
    let history = whole.history.iter().map(|step| Step {
        at: step.at,
        status: Some(step.to),
        text: String::new(),
    });
    let payments = payments_of(whole).into_iter().map(|(at, amount)| Step {
        at,
        status: None,
        text: format!("Payment of {} received", money(amount)),
    });
    let refunds = whole.refunds.iter().map(|refund| Step {
        at: refund.created_at,
        status: None,
        text: match refund.status {
            refunds::Status::Succeeded => format!("{} refunded", money(refund.amount)),
            refunds::Status::Failed => format!("Refund of {} failed", money(refund.amount)),
            _ => format!("Refund of {} requested", money(refund.amount)),
        },
    });
    let mut steps: Vec<Step> = history.chain(payments).chain(refunds).collect();
    steps.sort_by_key(|step| step.at);
    steps
}

/// The payments on account that settle an order: the day and the amount of each.
fn payments_of(whole: &orders::Order) -> Vec<(DateTime<Utc>, Money)> {
    let payments = whole.payments.iter();
    let payments = payments.filter_map(|payment| match payment {
        Payment::OnAccount {
            amount,
            received_at,
            ..
        } => Some((*received_at, *amount)),
        Payment::ByCard { .. } => None,
    });
    payments.collect()
}

async fn read(here: Here, id: Id<OrderId>) -> Response {
    here.page(&page(&here, id.0, fresh()).await?)
}

async fn page(here: &Here, id: OrderId, form: pages::Form) -> Result<OrderPage, Problem> {
    let (whole, mut order) = found(here, id).await?;
    pictures::add(here, &mut order.lines).await?;
    let layout = here.layout().await?;
    let just_placed = layout.notice == Some(Notice::OrderPlaced);
    let role = here.caller()?.authority.role();
    let (method, status) = (order.payment_method, order.status);
    let may = transitions::find_for(role, method, status, Status::Cancelled).is_ok();
    let seconds = seconds_to_pay(&order);
    let is_theirs = role != Role::Customer || order.paid == Money::ZERO;
    Ok(OrderPage {
        layout,
        steps: steps_of(here, &whole),
        form,
        can_cancel: may && is_theirs,
        can_pay: seconds.is_some() && can_pay_here(here),
        seconds_to_pay: seconds.unwrap_or(0),
        just_placed,
        order,
    })
}

async fn confirmation(here: Here, id: Id<OrderId>) -> Response {
    paper(&here, id.0, PaperKind::Confirmation).await
}

async fn receipt(here: Here, id: Id<OrderId>) -> Response {
    paper(&here, id.0, PaperKind::Receipt).await
}

async fn paper(here: &Here, id: OrderId, kind: PaperKind) -> Response {
    let (whole, order) = found(here, id).await?;
    let layout = here.layout().await?;
    here.page(&Paper {
        seller: Vec::new(),
        payments: payments_of(&whole),
        layout,
        order,
        kind,
    })
}

async fn cancel(here: Here, caller: Authenticated, id: Id<OrderId>, form: Form) -> Response {
    let target = here.path(&format!("/orders/{}", id.0));
    let render = |_: &orders::Order| see_other(&target);
    let write = caller.write(form.key.as_ref(), &render);
    let cancelled = cancellation::cancel(&here.state.database, &write, id.0).await;
    match cancelled {
        Ok(outcome) => {
            // A card order's refund or cancelled intent is due at the provider.
            here.state.payment_worker.wake(caller.business_id);
            here.see_outcome(outcome, Notice::OrderCancelled, None)
        }
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
