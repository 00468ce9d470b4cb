//! Fulfilling an order: its goods were handed over or shipped.

use entity::orders::{PaymentMethod, Status};
use entity::users::Role;
use entity::{Money, OrderId, orders};
use serde_json::json;

use super::{Order, replace_terms, step, transitions, whole};
use crate::audit::{self, Action, Change};
use crate::foundation::locks;
use crate::orders::disputes;
use crate::{Database, Error, Outcome, WriteRequest};

/// Input of a fulfilment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fulfilment<'a> {
    /// A reference by which the shipment can be tracked.
    pub tracking_reference: Option<&'a str>,
    /// Fulfils the order although a dispute of its payment is open or lost.
    pub acknowledge_dispute: bool,
}

/// Checks that a caller with this role can fulfil the order as it is, its disputes aside.
///
/// # Errors
/// [`Error::InvalidTransition`]; [`Error::Forbidden`]; [`Error::AlreadyRefunded`].
pub fn check_fulfilment(role: Role, order: &orders::Model) -> Result<(), Error> {
    let (of, from) = (order.payment_method, order.status);
    transitions::find_for(role, of, from, Status::Fulfilled)?;
    if order.amount_refunded > Money::ZERO && order.amount_refunded == order.amount_paid() {
        return Err(Error::AlreadyRefunded(order.id));
    }
    Ok(())
}

/// Fulfils a whole order. It cannot be cancelled afterwards.
///
/// # Errors
/// [`Error::OrderNotFound`]; [`Error::InvalidTransition`]; [`Error::AlreadyRefunded`]; [`Error::DisputeOpen`] unless
/// the dispute is acknowledged; those of [`WriteRequest`].
pub async fn fulfil(
    database: &Database,
    request: &WriteRequest<'_, Order>,
    id: OrderId,
    fulfilment: Fulfilment<'_>,
) -> Result<Outcome<Order>, Error> {
    let caller = request.caller;
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            let mut order = locks::order(transaction, caller.business_id, id)
                .await?
                .filter(|order| caller.may_act_for(order.customer_id))
                .ok_or(Error::OrderNotFound(id))?;
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            let (of, from, to) = (order.payment_method, order.status, Status::Fulfilled);
            check_fulfilment(caller.authority.role(), &order)?;
            if of == PaymentMethod::Card && !fulfilment.acknowledge_dispute {
                disputes::check_none(transaction, caller.business_id, id).await?;
            }
            order.tracking_reference = fulfilment.tracking_reference.map(str::to_owned);
            step(transaction, caller.into(), &mut order, to).await?;
            if order.tracking_reference.is_some() {
                replace_terms(transaction, &order).await?;
            }
            let change = Change {
                action: Action::OrderFulfilled,
                entity_type: "order",
                entity_id: id.0,
                before: Some(json!({ "status": from })),
                after: json!({
                    "status": to,
                    "tracking_reference": order.tracking_reference,
                    "acknowledge_dispute": fulfilment.acknowledge_dispute,
                }),
            };
            audit::record(transaction, caller, change).await?;
            let order = whole(transaction, order).await?;
            write.finish(order).await
        })
        .await
}
