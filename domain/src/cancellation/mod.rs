//! Cancelling an order.

mod card;
mod credit;

use entity::OrderId;
use entity::orders::PaymentMethod;

use crate::foundation::idempotency::{self, Answer, Answered, IdempotencyKey};
use crate::foundation::retry::retry;
use crate::orders::{Order, visible, whole_again};
use crate::{Caller, Database, Error};

/// Cancels an order that is not fulfilled. On credit its charge is undone, and what payments have settled of it is credit
/// on account again; by card its intent is cancelled, or what was paid is refunded. A customer may cancel its own order
/// while nothing of it is paid.
///
/// # Errors
/// [`Error::OrderNotFound`]; [`Error::InvalidTransition`]; [`Error::Forbidden`] for an order that is paid by card, but from
/// an admin; [`Error::Conflict`] for an order on credit that is paid, from a customer; those of [`idempotency`].
pub async fn cancel(
    database: &Database,
    caller: &Caller,
    claim: Option<&IdempotencyKey>,
    id: OrderId,
    render: impl Fn(&Order) -> Answer,
) -> Result<Answered, Error> {
    retry(|| async {
        let business = caller.business_id;
        let transaction = database.begin(business).await?;
        let order = visible(&transaction, caller, id).await?;
        let before = match order.payment_method {
            PaymentMethod::Credit => {
                credit::cancel(&transaction, caller, claim, order.customer_id, id).await?
            }
            PaymentMethod::Card => card::cancel(&transaction, caller, claim, id).await?,
        };
        if let Some(before) = before {
            return Ok(before);
        }
        let order = whole_again(&transaction, business, id).await?;
        let answered = idempotency::keep(&transaction, caller, claim, render(&order)).await?;
        transaction.commit().await?;
        Ok(answered)
    })
    .await
}
