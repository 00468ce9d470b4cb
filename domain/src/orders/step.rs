//! Order steps: changes of an order's status, and their history.

use chrono::{DateTime, Utc};
use entity::orders::{PaymentMethod, Status};
use entity::{BusinessId, OrderId, Tenant, order_transitions, orders};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::transitions;
use crate::audit::Actor;
use crate::{Error, Transaction};

/// A status that an order entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The status before; `None` for the first.
    pub from: Option<Status>,
    /// The status entered.
    pub to: Status,
    /// When the order entered it.
    pub at: DateTime<Utc>,
    /// The role that made the step, or `system` for the service itself. `None` for the first step, of which only the
    /// user is known.
    pub actor_role: Option<String>,
}

/// Moves a locked order to another status if [`transitions::TABLE`] allows it, and writes the order.
pub(crate) async fn step(
    transaction: &Transaction,
    actor: Actor<'_>,
    order: &mut orders::Model,
    to: Status,
) -> Result<(), Error> {
    let from = order.status;
    transitions::find(order.payment_method, from, to)?;
    order.status = to;
    write(transaction, order).await?;
    let before = last(transaction, order.business_id, order.id).await?;
    let row = order_transitions::ActiveModel {
        business_id: Set(order.business_id),
        order_id: Set(order.id),
        number: Set(before + 1),
        from_status: Set(from),
        to_status: Set(to),
        actor_id: Set(actor.user_id),
        actor_role: Set(actor.role.to_owned()),
        ..Default::default()
    };
    order_transitions::Entity::insert(row)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

/// The number of the order's newest transition. The order is locked, so no other transaction adds one.
async fn last(transaction: &Transaction, business: BusinessId, id: OrderId) -> Result<i32, Error> {
    let newest = order_transitions::Entity::of(business)
        .filter(order_transitions::Column::OrderId.eq(id))
        .order_by_desc(order_transitions::Column::Number)
        .limit(1)
        .one(transaction)
        .await?;
    Ok(newest.map_or(0, |newest| newest.number))
}

/// Writes the mutable columns of a locked order, except those that settlement writes.
pub(crate) async fn write(transaction: &Transaction, order: &orders::Model) -> Result<(), Error> {
    use orders::Column;

    let mut update = orders::Entity::update_of(order.business_id)
        .filter(Column::Id.eq(order.id))
        .col_expr(Column::Status, Expr::value(order.status))
        .col_expr(Column::CancelReason, Expr::value(order.cancel_reason))
        .col_expr(
            Column::TrackingReference,
            Expr::value(order.tracking_reference.clone()),
        )
        .col_expr(Column::UpdatedAt, Expr::current_timestamp());
    if order.payment_method == PaymentMethod::Card {
        update = update
            .col_expr(Column::AmountSettled, Expr::value(order.amount_settled))
            .col_expr(Column::AmountCredited, Expr::value(order.amount_credited))
            .col_expr(Column::AmountRefunded, Expr::value(order.amount_refunded))
            .col_expr(Column::AmountLost, Expr::value(order.amount_lost))
            .col_expr(Column::Attention, Expr::value(order.attention.clone()));
    }
    update.exec(transaction).await?;
    Ok(())
}

/// The steps of an order, the first status first. An opening item was fulfilled before it was entered.
pub(crate) async fn history(
    transaction: &Transaction,
    order: &orders::Model,
    is_opening_item: bool,
) -> Result<Vec<Step>, Error> {
    let transitions = order_transitions::Entity::of(order.business_id)
        .filter(order_transitions::Column::OrderId.eq(order.id))
        .order_by_asc(order_transitions::Column::Number)
        .all(transaction)
        .await?;
    let first = match order.payment_method {
        PaymentMethod::Credit if is_opening_item => Status::Fulfilled,
        PaymentMethod::Credit => Status::Approved,
        PaymentMethod::Card => Status::Created,
    };
    let first = Step {
        from: None,
        to: first,
        at: order.created_at,
        actor_role: None,
    };
    let later = transitions.into_iter().map(|one| Step {
        from: Some(one.from_status),
        to: one.to_status,
        at: one.created_at,
        actor_role: Some(one.actor_role),
    });
    Ok(std::iter::once(first).chain(later).collect())
}
