//! An order as pages show it, and whether it can be paid.

use chrono::{DateTime, Utc};
use domain::card::provider::Offline;
use domain::identity::customers;
use domain::orders;
use entity::orders::{PaymentMethod, Status};
use entity::{Money, OrderId, OrderNumber};
use pages::shop::{Order, OrderLine};

use crate::http::client_address;
use crate::pages::here::Here;
use crate::schema::problem::Problem;

/// An order that the caller may see, with the name of its customer.
pub(super) async fn found(here: &Here, id: OrderId) -> Result<(orders::Order, Order), Problem> {
    let (database, caller) = (&here.state.database, here.caller()?);
    let problem = |error| here.problem(error);
    let whole = orders::read(database, caller, id).await.map_err(problem)?;
    let customer = customers::read(database, caller, whole.order.customer_id).await;
    let name = customer.map_err(problem)?.name;
    let order = shown(&whole, name);
    Ok((whole, order))
}

fn shown(whole: &orders::Order, customer_name: String) -> Order {
    let order = &whole.order;
    Order {
        id: order.id,
        number: OrderNumber::of(order.id).to_string(),
        status: order.status,
        payment_method: order.payment_method,
        customer_name,
        created_at: order.created_at,
        due_at: order.due_at,
        lines: whole.items.iter().map(line_of).collect(),
        total: order.total_amount,
        paid: order.amount_paid(),
        credited: order.amount_credited(),
        refunded: order.amount_refunded,
        due: order.amount_due,
        is_overdue: is_overdue(order, Utc::now()),
        cancel_reason: order.cancel_reason,
        tracking_reference: order.tracking_reference.clone(),
        reference: order.reference.clone(),
        note: order.note.clone(),
        delivery_address: order.delivery_address.clone(),
    }
}

fn line_of(item: &entity::order_items::Model) -> OrderLine {
    OrderLine {
        product_id: item.product_id,
        sku: item.sku.clone(),
        name: item.name.clone(),
        quantity: item.quantity,
        unit_price: item.unit_price,
        line_total: item.line_total,
        picture: None,
    }
}

/// Whether something is due and the due date has passed.
pub(super) fn is_overdue(order: &entity::orders::Model, now: DateTime<Utc>) -> bool {
    let is_on_credit = order.payment_method == PaymentMethod::Credit;
    is_on_credit && order.amount_due > Money::ZERO && order.due_at < now
}

/// Seconds in which an order can be paid; `None` if it does not wait for a payment.
pub(super) fn seconds_to_pay(order: &Order) -> Option<i64> {
    let waits = order.payment_method == PaymentMethod::Card
        && matches!(order.status, Status::Created | Status::PaymentPending);
    let seconds = (order.due_at - Utc::now()).num_seconds();
    (waits && seconds > 0).then_some(seconds)
}

/// Whether the visitor can pay by card in the store: at Stripe, or at the test provider on this machine.
pub(super) fn can_pay_here(here: &Here) -> bool {
    here.state.publishable_key.is_some() || is_test(here)
}

/// Whether the visitor can pay at the test provider.
pub(super) fn is_test(here: &Here) -> bool {
    let provider = here.state.payment_worker.provider();
    let is_offline = provider.is_some_and(|provider| provider.name() == Offline::NAME);
    is_offline && client_address::is_local(&here.req)
}
