//! Cancelling an order, on credit or by card.

mod card;
mod credit;

use entity::orders::{PaymentMethod, Status};
use entity::users::Role;
use entity::{Money, OrderId};

use crate::card::refunds;
use crate::orders::{Order, disputes, reread, transitions, visible};
use crate::{Database, Error, Outcome, WriteRequest};

/// Checks that a caller of the business with this role can cancel the order as it is.
///
/// # Errors
/// [`Error::InvalidTransition`]; [`Error::Forbidden`]; [`Error::DisputeOpen`].
pub fn check(role: Role, whole: &Order) -> Result<(), Error> {
    let order = &whole.order;
    transitions::find_for(role, order.payment_method, order.status, Status::Cancelled)?;
    let is_refunded = order.status == Status::Paid && refunds::refundable(order) > Money::ZERO;
    match is_refunded {
        true => disputes::check(&whole.disputes),
        false => Ok(()),
    }
}

/// Cancels an order that is not fulfilled. On credit, its charge is reversed, and payments that settled it become
/// credit on account again. By card, its intent is cancelled or its payment refunded. Customers may cancel their own
/// order while nothing of it is paid.
///
/// # Errors
/// [`Error::OrderNotFound`]; [`Error::InvalidTransition`]; [`Error::Forbidden`] for a paid card order, unless the
/// caller is an admin; [`Error::AlreadyPaid`] for a paid order on credit, if the caller is a customer; those of
/// [`WriteRequest`].
pub async fn cancel(
    database: &Database,
    request: &WriteRequest<'_, Order>,
    id: OrderId,
) -> Result<Outcome<Order>, Error> {
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let order = visible(write.transaction(), request.caller, id).await?;
            let replayed = match order.payment_method {
                PaymentMethod::Credit => credit::cancel(&write, request.caller, &order).await?,
                PaymentMethod::Card => card::cancel(&write, request.caller, id).await?,
            };
            if let Some(replayed) = replayed {
                return Ok(replayed);
            }
            let business = request.caller.business_id;
            let order = reread(write.transaction(), business, id).await?;
            write.finish(order).await
        })
        .await
}
