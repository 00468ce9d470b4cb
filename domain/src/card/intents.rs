//! Payment intents: asks the provider to create an order's intent, and records its response.
//!
//! The provider is called between transactions. Each transaction locks the order as [`LockedOrder`] does.

use entity::orders::{CancelReason, Status};
use entity::payment_intents;
use entity::{BusinessId, OrderId, Tenant, orders};
use fail::fail_point;

use super::checkout::Checkout;
use super::events;
use super::locked_order::currency;
use super::locked_order::{LockedOrder, Stock};
use crate::audit::{Action, Actor};
use crate::card::provider::{Failure, Intent, IntentState, Provider, WantedIntent};
use crate::foundation::error::RefusedAmount;
use crate::foundation::retry::retry;
use crate::orders::payments;
use crate::orders::step;
use crate::{Database, Error, Transaction};

/// Asks the provider to create the intent of a placed order, or returns the one that it created before. The order can
/// be paid afterwards.
///
/// # Errors
/// - [`Error::PaymentProvider`] when the provider does not respond; the payment worker retries.
/// - [`Error::PaymentRefused`] when the provider refuses; the order is cancelled.
/// - [`Error::OrderNotFound`].
/// - [`Error::InvalidTransition`] when the order is already cancelled.
/// - [`Error::OutcomeUnknown`] when the database is unavailable; the order exists, and the payment worker retries.
pub async fn finish(
    database: &Database,
    provider: &dyn Provider,
    business: BusinessId,
    id: OrderId,
) -> Result<Checkout, Error> {
    let made = make(database, provider, business, id).await;
    made.map_err(|error| match error {
        // Each of these errors would tell the client that nothing was changed.
        Error::DatabaseUnavailable(_) | Error::Overloaded | Error::Contention => {
            tracing::warn!(order = %id, %error, "an order was placed; the outcome of its payment intent is unknown");
            Error::OutcomeUnknown
        }
        other => other,
    })
}

async fn make(
    database: &Database,
    provider: &dyn Provider,
    business: BusinessId,
    id: OrderId,
) -> Result<Checkout, Error> {
    let placed = retry(|| async {
        let transaction = database.begin_read(business).await?;
        let placed = OrderWithIntent::read(&transaction, business, id).await?;
        transaction.commit().await?;
        Ok(placed)
    });
    let placed = placed.await?;
    if let Some(checkout) = placed.checkout() {
        return Ok(checkout);
    }
    if placed.intent.status == payment_intents::Status::Refused {
        // A retry gets the same refusal.
        return Err(refused(id, placed.intent.failure_code.as_deref()));
    }
    still_payable(placed.order.status)?;
    fail_point!("intent-to-make");
    match provider.create(&placed.wanted()).await {
        Ok(made) => {
            fail_point!("intent-made");
            let made = record_made(database, business, id, &made).await?;
            let (checkout, status) = made.ok_or(Error::OrderNotFound(id))?;
            // Another process may have ended the order meanwhile.
            still_payable(status)?;
            Ok(checkout)
        }
        Err(failure @ Failure::NoAnswer(_)) => {
            tracing::warn!(order = %id, %failure, "the payment intent of an order was not made");
            Err(Error::PaymentProvider { order_id: id })
        }
        Err(Failure::Refused { code, message }) => {
            tracing::warn!(order = %id, code, message, "the payment intent of an order was refused");
            record_refused(database, business, id, (&code, &message)).await?;
            Err(refused(id, Some(&code)))
        }
    }
}

fn refused(order: OrderId, code: Option<&str>) -> Error {
    Error::PaymentRefused {
        refused: Box::new(RefusedAmount::with_code(code.unwrap_or("unknown"))),
        order_id: Some(order),
    }
}

fn still_payable(status: Status) -> Result<(), Error> {
    let (from, to) = (status, Status::PaymentPending);
    match status {
        Status::Cancelled => Err(Error::InvalidTransition { from, to }),
        Status::Created
        | Status::PaymentPending
        | Status::Approved
        | Status::Paid
        | Status::Fulfilled => Ok(()),
    }
}

/// An order and its intent, as last written.
struct OrderWithIntent {
    order: orders::Model,
    intent: payment_intents::Model,
    currency: entity::Currency,
}

impl OrderWithIntent {
    async fn read(
        transaction: &Transaction,
        business: BusinessId,
        id: OrderId,
    ) -> Result<Self, Error> {
        let intent = payments::intent(transaction, business, id).await?;
        let order = orders::Entity::by_id(business, id).one(transaction).await?;
        Ok(Self {
            order: order.ok_or(Error::OrderNotFound(id))?,
            intent: intent.ok_or(Error::OrderNotFound(id))?,
            currency: currency(transaction, business).await?,
        })
    }

    fn wanted(&self) -> WantedIntent {
        wanted(&self.intent, self.currency)
    }

    fn checkout(&self) -> Option<Checkout> {
        checkout(&self.order, &self.intent, self.currency)
    }
}

/// The request to the provider, equal for every attempt.
pub(super) fn wanted(intent: &payment_intents::Model, currency: entity::Currency) -> WantedIntent {
    WantedIntent {
        business_id: intent.business_id,
        order_id: intent.order_id,
        amount: intent.amount,
        currency,
    }
}

fn checkout(
    order: &orders::Model,
    intent: &payment_intents::Model,
    currency: entity::Currency,
) -> Option<Checkout> {
    Some(Checkout {
        order_id: order.id,
        reference: order.reference.clone(),
        total: order.total_amount,
        currency,
        client_secret: intent.client_secret.clone()?,
        expires_at: intent.expires_at,
    })
}

/// Records the intent that the provider created. Changes by events that arrived meanwhile are kept.
pub(super) async fn record_made(
    database: &Database,
    business: BusinessId,
    id: OrderId,
    made: &Intent,
) -> Result<Option<(Checkout, Status)>, Error> {
    let recorded = retry(|| async {
        let transaction = database.begin(business).await?;
        // After a lost response the intent may be paid by now, which sells the stock.
        let stock = match made.state {
            IntentState::Paid(_) => Stock::Locked,
            IntentState::Open | IntentState::Cancelled => Stock::Left,
        };
        let Some(mut locked) = LockedOrder::of(&transaction, business, id, stock).await? else {
            return Ok(None);
        };
        let actor = Actor::system(business);
        take(&transaction, actor, &mut locked, made).await?;
        if let IntentState::Paid(received) = &made.state {
            events::paid(&transaction, actor, &mut locked, received).await?;
        }
        let checkout = checkout(&locked.order, &locked.intent, locked.currency);
        transaction.commit().await?;
        Ok(checkout.map(|checkout| (checkout, locked.order.status)))
    });
    let recorded = recorded.await?;
    fail_point!("intent-recorded");
    Ok(recorded)
}

async fn take(
    transaction: &Transaction,
    actor: Actor<'_>,
    locked: &mut LockedOrder,
    made: &Intent,
) -> Result<(), Error> {
    let before = locked.audit_snapshot();
    locked.intent.provider_id = Some(made.id.clone());
    locked.intent.client_secret = Some(made.client_secret.clone());
    locked.intent.tries = 0;
    if locked.intent.status == payment_intents::Status::Requested {
        locked.intent.status = payment_intents::Status::Pending;
        locked.intent.next_try_at = Some(locked.intent.expires_at);
    }
    locked.write_intent(transaction).await?;
    if locked.order.status == Status::Created {
        step(
            transaction,
            actor,
            &mut locked.order,
            Status::PaymentPending,
        )
        .await?;
        locked
            .record(transaction, actor, Action::OrderPaymentPending, before)
            .await?;
    }
    Ok(())
}

/// Records the code and message of the provider's refusal, and cancels the order.
pub(super) async fn record_refused(
    database: &Database,
    business: BusinessId,
    id: OrderId,
    (code, words): (&str, &str),
) -> Result<(), Error> {
    retry(|| async {
        let transaction = database.begin(business).await?;
        let locked = LockedOrder::of(&transaction, business, id, Stock::Locked).await?;
        let Some(mut locked) = locked else {
            return Ok(());
        };
        if locked.intent.provider_id.is_some() {
            // Another attempt was not refused.
            return Ok(());
        }
        locked.intent.status = payment_intents::Status::Refused;
        locked.intent.failure = Some(format!("the payment provider rejects the request: {words}"));
        locked.intent.failure_code = Some(code.to_owned());
        locked.intent.next_try_at = None;
        locked.write_intent(&transaction).await?;
        if locked.order.status == Status::Created {
            let actor = Actor::system(business);
            let reason = CancelReason::PaymentRefused;
            locked.cancel_unpaid(&transaction, actor, reason).await?;
        }
        transaction.commit().await
    })
    .await
}
