//! An order of a list, as the back office shows it.

use chrono::{DateTime, Utc};
use domain::orders::{self, Listed};
use entity::orders::{Attention, PaymentMethod};
use entity::users::Role;
use entity::{Money, OrderNumber};
use pages::office::OrderRow;

/// An order for a reader with this role.
pub(super) fn row_of(listed: Listed, role: Role, now: DateTime<Utc>) -> OrderRow {
    let order = listed.order;
    let is_on_credit = order.payment_method == PaymentMethod::Credit;
    let is_due = is_on_credit && order.amount_due > Money::ZERO;
    let attention = order.attention();
    OrderRow {
        id: order.id,
        number: OrderNumber::of(order.id).to_string(),
        customer_id: order.customer_id,
        customer_name: listed.customer_name,
        created_at: order.created_at,
        status: order.status,
        payment_method: order.payment_method,
        total: order.total_amount,
        due: order.amount_due,
        due_at: is_due.then_some(order.due_at),
        is_overdue: is_due && order.due_at < now,
        can_ship: orders::check_fulfilment(role, &order).is_ok() && !is_disputed(&attention),
        reference: order.reference,
        attention,
    }
}

/// Whether a dispute is open or lost, which has to be acknowledged order by order.
pub(super) fn is_disputed(attention: &[Attention]) -> bool {
    attention.contains(&Attention::DisputeOpen) || attention.contains(&Attention::DisputeLost)
}
