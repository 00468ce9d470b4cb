//! Cancelling an order.

mod card;
mod credit;

use entity::OrderId;
use entity::orders::PaymentMethod;

use crate::orders::{Order, visible, whole_again};
use crate::{Database, Error, Outcome, WriteRequest};

/// Cancels an order that is not fulfilled. On credit its charge is undone, and what payments have settled of it is credit
/// on account again; by card its intent is cancelled, or what was paid is refunded. A customer may cancel its own order
/// while nothing of it is paid.
///
/// # Errors
/// [`Error::OrderNotFound`]; [`Error::InvalidTransition`]; [`Error::Forbidden`] for an order that is paid by card, but from
/// an admin; [`Error::AlreadyPaid`] for an order on credit that is paid, from a customer; those of [`WriteRequest`].
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
            let order = whole_again(write.transaction(), business, id).await?;
            write.finish(order).await
        })
        .await
}
