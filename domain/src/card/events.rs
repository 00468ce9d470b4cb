//! Events of the payment provider, and their effect on an order.
//!
//! Events arrive in any order, more than once, and possibly before the response to the request that caused them. The
//! effect of an event therefore depends on the locked order's current state, and not on earlier events.

use chrono::{DateTime, Utc};
use entity::orders::{CancelReason, Status};
use entity::payment_intents::Status as IntentStatus;
use entity::{Money, payment_intents, provider_events};
use fail::fail_point;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, EntityTrait};

use super::checkout::{Event, EventKind, EventOutcome};
use super::locked_order::{AT_ONCE, LockedOrder, Stock};
use super::reading::{ATTEMPTS, Reading};
use crate::audit::{Action, Actor};
use crate::card::attention;
use crate::card::provider::{Provider, Received};
use crate::card::refunds::RefundToWrite;
use crate::foundation::retry::retry;
use crate::orders::step;
use crate::{Database, Error, Transaction};

/// Applies an event of the provider, once per event id. Events of refunds and disputes only say that something changed:
/// the service then reads the current state from the provider.
///
/// # Errors
/// [`Error::ProviderSilent`]; [`Error::DatabaseUnavailable`] and other temporary errors. The provider sends the event
/// again.
pub async fn receive(
    database: &Database,
    provider: &dyn Provider,
    event: &Event,
) -> Result<EventOutcome, Error> {
    for _ in 0..ATTEMPTS {
        let reading = Reading::of(database, provider, event).await?;
        if let Some(outcome) = take(database, event, reading.as_ref()).await? {
            return Ok(outcome);
        }
    }
    Err(Error::Overloaded)
}

/// Applies an event. `None` when another reading was written since this one began.
async fn take(
    database: &Database,
    event: &Event,
    reading: Option<&Reading>,
) -> Result<Option<EventOutcome>, Error> {
    retry(|| async {
        let business = event.business_id;
        let transaction = database.begin(business).await?;
        let stock = match event.event_kind {
            EventKind::Paid(_) | EventKind::Cancelled => Stock::Locked,
            EventKind::Failed(_) | EventKind::RefundsChanged | EventKind::DisputeChanged(_) => {
                Stock::Left
            }
        };
        let locked = LockedOrder::of(&transaction, business, event.order_id, stock).await?;
        let is_ours = |locked: &LockedOrder| {
            event.is_about(&locked.intent) && (reading.is_some() || event.event_kind.is_complete())
        };
        let Some(mut locked) = locked.filter(is_ours) else {
            tracing::warn!(
                event = event.id,
                kind = event.kind,
                "an event is about an unknown order or payment"
            );
            return Ok(Some(EventOutcome::NotOurs));
        };
        if reading.is_some_and(|reading| !reading.is_current(&locked)) {
            return Ok(None);
        }
        if !is_new(&transaction, event).await? {
            return Ok(Some(EventOutcome::Before));
        }
        apply(&transaction, &mut locked, event, reading).await?;
        fail_point!("event-to-commit");
        transaction.commit().await?;
        fail_point!("event-taken");
        Ok(Some(EventOutcome::Now))
    })
    .await
}

impl EventKind {
    /// Whether the event is complete. For other events the service reads from the provider.
    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Paid(_) | Self::Failed(_) | Self::Cancelled => true,
            Self::RefundsChanged | Self::DisputeChanged(_) => false,
        }
    }
}

impl Event {
    /// Whether the event is about this intent, or about one whose provider id is not stored yet.
    pub(super) fn is_about(&self, intent: &payment_intents::Model) -> bool {
        let is_known = intent
            .provider_id
            .as_ref()
            .is_none_or(|id| *id == self.intent);
        is_known && intent.provider == self.provider
    }
}

/// Whether the event is new. The order is locked, so a concurrent duplicate waits and then finds the row.
async fn is_new(transaction: &Transaction, event: &Event) -> Result<bool, Error> {
    let row = provider_events::ActiveModel {
        business_id: Set(event.business_id),
        provider: Set(event.provider.into()),
        event_id: Set(event.id.clone()),
        kind: Set(event.kind.clone()),
        order_id: Set(event.order_id),
        ..Default::default()
    };
    let kept = provider_events::Entity::insert(row)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(transaction)
        .await?;
    Ok(kept > 0)
}

async fn apply(
    transaction: &Transaction,
    locked: &mut LockedOrder,
    event: &Event,
    reading: Option<&Reading>,
) -> Result<(), Error> {
    let actor = Actor::system(event.business_id);
    locked.intent.provider_id = Some(event.intent.clone());
    match &event.event_kind {
        EventKind::Paid(received) => paid(transaction, actor, locked, received).await,
        EventKind::Failed(reason) => failed(transaction, actor, locked, reason).await,
        EventKind::Cancelled => {
            // The service itself may have cancelled the intent, and not yet written the provider's response.
            let reason = if locked.now() < locked.intent.expires_at {
                CancelReason::PaymentCancelled
            } else {
                CancelReason::PaymentExpired
            };
            cancelled(transaction, actor, locked, reason).await
        }
        EventKind::RefundsChanged | EventKind::DisputeChanged(_) => match reading {
            Some(reading) => reading.write(transaction, actor, locked).await,
            // The event is about no order of this service and was not recorded.
            None => Ok(()),
        },
    }
}

/// Applies a payment to an order whose stock is locked.
pub(super) async fn paid(
    transaction: &Transaction,
    actor: Actor<'_>,
    locked: &mut LockedOrder,
    received: &Received,
) -> Result<(), Error> {
    match locked.intent.status {
        // The payment was applied before.
        IntentStatus::Succeeded | IntentStatus::Mismatched => return Ok(()),
        IntentStatus::Requested
        | IntentStatus::Pending
        | IntentStatus::Cancelling
        | IntentStatus::Cancelled
        | IntentStatus::Refused => {}
    }
    if !received.is(locked.order.total_amount, locked.currency) {
        return mismatched(transaction, actor, locked, received).await;
    }
    let before = locked.audit_snapshot();
    locked.intent.status = IntentStatus::Succeeded;
    locked.intent.failure = None;
    locked.intent.next_try_at = unbooked(locked);
    locked.write_intent(transaction).await?;
    let total = locked.order.total_amount;
    locked.order.amount_settled = total;
    locked.order.amount_credited = Money::ZERO;
    if locked.intent.readings > 0 {
        attention::assess(transaction, locked).await?;
    }
    match locked.order.status {
        Status::Created | Status::PaymentPending if locked.has_stock() => {
            if locked.order.status == Status::Created {
                step(
                    transaction,
                    actor,
                    &mut locked.order,
                    Status::PaymentPending,
                )
                .await?;
            }
            locked.sell(transaction, actor).await?;
            step(transaction, actor, &mut locked.order, Status::Paid).await?;
            locked
                .record(transaction, actor, Action::OrderPaid, before)
                .await
        }
        // The stock is no longer available: the order says so, and the payment is refunded.
        Status::Created | Status::PaymentPending => {
            locked.release(transaction, actor).await?;
            locked.order.cancel_reason = Some(CancelReason::StockGone);
            refund_whole(transaction, actor, locked, "paid when its stock was gone").await?;
            step(transaction, actor, &mut locked.order, Status::Cancelled).await?;
            locked
                .record(transaction, actor, Action::OrderCancelled, before)
                .await
        }
        Status::Cancelled => {
            locked.order.cancel_reason = Some(CancelReason::PaidTooLate);
            refund_whole(transaction, actor, locked, "paid after it was cancelled").await?;
            locked.write_holds(transaction).await?;
            locked
                .record(transaction, actor, Action::OrderPaidTooLate, before)
                .await
        }
        status @ (Status::Approved | Status::Paid | Status::Fulfilled) => Err(Error::Bug(format!(
            "order {} is {status:?} and was not paid",
            locked.order.id
        ))),
    }
}

/// When to look again at an order that is paid only now. That is at once if its refunds were read before the payment,
/// since the service had no payment to book them on.
fn unbooked(locked: &LockedOrder) -> Option<DateTime<Utc>> {
    (locked.intent.readings > 0).then_some(AT_ONCE)
}

/// Refunds the whole payment.
async fn refund_whole(
    transaction: &Transaction,
    actor: Actor<'_>,
    locked: &mut LockedOrder,
    reason: &str,
) -> Result<(), Error> {
    let refund = RefundToWrite {
        amount: locked.order.total_amount,
        reason: reason.to_owned(),
        restock: false,
        at_provider: None,
        items: Vec::new(),
    };
    refund.add(transaction, actor, &mut locked.order).await?;
    Ok(())
}

/// A payment whose amount or currency differs. The order is not paid, and a person has to look at it.
async fn mismatched(
    transaction: &Transaction,
    actor: Actor<'_>,
    locked: &mut LockedOrder,
    received: &Received,
) -> Result<(), Error> {
    let before = locked.audit_snapshot();
    let (minor, currency) = (received.minor, &received.currency);
    tracing::error!(order = %locked.order.id, minor, currency, "a payment has another amount or currency than its order");
    locked.intent.status = IntentStatus::Mismatched;
    locked.intent.failure = Some(format!("received {minor} in minor units of {currency}"));
    locked.intent.received_minor = Some(minor);
    locked.intent.received_currency = Some(currency.clone());
    // The order expires like any unpaid order.
    locked.intent.next_try_at = unbooked(locked).or(Some(locked.intent.expires_at));
    locked.write_intent(transaction).await?;
    locked.write_holds(transaction).await?;
    attention::assess(transaction, locked).await?;
    locked
        .record(transaction, actor, Action::PaymentMismatched, before)
        .await
}

/// An attempt to pay failed. The order can still be paid, and its stock is held until its time to pay ends.
async fn failed(
    transaction: &Transaction,
    actor: Actor<'_>,
    locked: &mut LockedOrder,
    reason: &str,
) -> Result<(), Error> {
    let is_open = matches!(
        locked.intent.status,
        IntentStatus::Requested | IntentStatus::Pending
    );
    if !is_open {
        return Ok(());
    }
    let before = locked.audit_snapshot();
    locked.intent.failure = Some(reason.to_owned());
    locked.write_intent(transaction).await?;
    locked
        .record(transaction, actor, Action::PaymentFailed, before)
        .await
}

/// Ends an order whose stock is locked and whose intent can no longer be paid.
pub(super) async fn cancelled(
    transaction: &Transaction,
    actor: Actor<'_>,
    locked: &mut LockedOrder,
    reason: CancelReason,
) -> Result<(), Error> {
    match locked.intent.status {
        IntentStatus::Requested | IntentStatus::Pending | IntentStatus::Cancelling => {}
        IntentStatus::Succeeded
        | IntentStatus::Mismatched
        | IntentStatus::Cancelled
        | IntentStatus::Refused => return locked.write_holds(transaction).await,
    }
    locked.intent.status = IntentStatus::Cancelled;
    locked.intent.next_try_at = None;
    locked.write_intent(transaction).await?;
    if matches!(
        locked.order.status,
        Status::Created | Status::PaymentPending
    ) {
        return locked.cancel_unpaid(transaction, actor, reason).await;
    }
    locked.write_holds(transaction).await
}
