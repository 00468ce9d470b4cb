//! What the provider tells, and what it does to an order.
//!
//! Events come in any order, more than once, and before the answer to the request that they follow from. So what an event
//! does depends on what the order is now, under its lock, and not on what came before it.

use entity::orders::{CancelReason, Status};
use entity::payment_intents::Status as IntentStatus;
use entity::{Money, refunds};
use fail::fail_point;
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

use super::locked::{Locked, Stock};
use super::{Event, Taken, Told};
use crate::audit::Actor;
use crate::orders::step;
use crate::provider::Received;
use crate::refunds::{New, by_hand};
use crate::retry::retry;
use crate::{Database, Error, Transaction};

/// Takes what the provider has told, each event once.
///
/// # Errors
/// [`Error::DatabaseUnavailable`] and its like: the provider tells it again.
pub async fn receive(database: &Database, event: &Event) -> Result<Taken, Error> {
    retry(|| async {
        let business = event.business_id;
        let transaction = database.begin(business).await?;
        let stock = match event.told {
            Told::Paid(_) | Told::Cancelled => Stock::Locked,
            Told::Failed(_) | Told::RefundedByHand(_) => Stock::Left,
        };
        let locked = Locked::of(&transaction, business, event.order_id, stock).await?;
        let Some(mut locked) = locked.filter(|locked| is_about(event, locked)) else {
            tracing::warn!(
                event = event.id,
                kind = event.kind,
                "an event is about no order of ours"
            );
            return Ok(Taken::NotOurs);
        };
        if !is_new(&transaction, event).await? {
            return Ok(Taken::Before);
        }
        apply(&transaction, &mut locked, event).await?;
        fail_point!("event-to-commit");
        transaction.commit().await?;
        fail_point!("event-taken");
        Ok(Taken::Now)
    })
    .await
}

/// Whether the event is about this order's intent, or what will turn out to be it.
fn is_about(event: &Event, locked: &Locked) -> bool {
    let intent = &locked.intent;
    let is_known = intent
        .provider_id
        .as_ref()
        .is_none_or(|id| *id == event.intent);
    is_known && intent.provider == event.provider
}

const KEEP: &str = "
INSERT INTO provider_events (business_id, provider, event_id, kind, order_id) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING";

/// Whether the event was not taken before. The order is locked, so a twin waits for it and finds it taken.
async fn is_new(transaction: &Transaction, event: &Event) -> Result<bool, Error> {
    let values: [Value; 5] = [
        event.business_id.0.into(),
        event.provider.into(),
        event.id.clone().into(),
        event.kind.clone().into(),
        event.order_id.0.into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, KEEP, values);
    let kept = transaction.execute_raw(statement).await?;
    Ok(kept.rows_affected() > 0)
}

async fn apply(transaction: &Transaction, locked: &mut Locked, event: &Event) -> Result<(), Error> {
    let actor = Actor::system(event.business_id);
    locked.intent.provider_id = Some(event.intent.clone());
    match &event.told {
        Told::Paid(received) => paid(transaction, actor, locked, received).await,
        Told::Failed(reason) => failed(transaction, actor, locked, reason).await,
        Told::Cancelled => {
            // It may be our own doing, told before its answer was written.
            let reason = if locked.now() < locked.intent.expires_at {
                CancelReason::PaymentCancelled
            } else {
                CancelReason::PaymentExpired
            };
            cancelled(transaction, actor, locked, reason).await
        }
        Told::RefundedByHand(total) => refunded(transaction, actor, locked, total).await,
    }
}

/// Money has come for an order whose stock is locked.
pub(super) async fn paid(
    transaction: &Transaction,
    actor: Actor<'_>,
    locked: &mut Locked,
    received: &Received,
) -> Result<(), Error> {
    match locked.intent.status {
        // Told twice.
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
    let before = locked.trail();
    locked.intent.status = IntentStatus::Succeeded;
    locked.intent.failure = None;
    locked.intent.next_try_at = None;
    locked.write_intent(transaction).await?;
    let total = locked.order.total_amount;
    locked.order.amount_settled = total;
    locked.order.amount_credited = Money::ZERO;
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
                .record(transaction, actor, "order.paid", before)
                .await
        }
        // Paid when somebody else had the stock: it is told on the order, and the money goes back.
        Status::Created | Status::PaymentPending => {
            locked.release(transaction, actor).await?;
            locked.order.cancel_reason = Some(CancelReason::StockGone);
            give_back(transaction, actor, locked, "paid when its stock was gone").await?;
            step(transaction, actor, &mut locked.order, Status::Cancelled).await?;
            locked
                .record(transaction, actor, "order.cancelled", before)
                .await
        }
        Status::Cancelled => {
            locked.order.cancel_reason = Some(CancelReason::PaidTooLate);
            give_back(transaction, actor, locked, "paid after it was cancelled").await?;
            locked.write_expired(transaction).await?;
            locked
                .record(transaction, actor, "order.paid_too_late", before)
                .await
        }
        status @ (Status::Approved | Status::Paid | Status::Fulfilled) => Err(Error::Bug(format!(
            "order {} is {status:?} and was not paid",
            locked.order.id
        ))),
    }
}

/// The whole payment goes back.
async fn give_back(
    transaction: &Transaction,
    actor: Actor<'_>,
    locked: &mut Locked,
    reason: &str,
) -> Result<(), Error> {
    let refund = New {
        amount: locked.order.total_amount,
        reason: reason.to_owned(),
        restock: false,
        by_hand: false,
        items: Vec::new(),
    };
    refund.add(transaction, actor, &mut locked.order).await?;
    Ok(())
}

/// Other money has come than was asked for. The order is not paid, and somebody has to look at it.
async fn mismatched(
    transaction: &Transaction,
    actor: Actor<'_>,
    locked: &mut Locked,
    received: &Received,
) -> Result<(), Error> {
    let before = locked.trail();
    let (minor, currency) = (received.minor, &received.currency);
    tracing::error!(order = %locked.order.id, minor, currency, "a payment is not what was asked for");
    locked.intent.status = IntentStatus::Mismatched;
    locked.intent.failure = Some(format!("received {minor} in minor units of {currency}"));
    // Its stock is not held for longer because of that.
    locked.intent.next_try_at = Some(locked.intent.expires_at);
    locked.write_intent(transaction).await?;
    locked.write_expired(transaction).await?;
    locked
        .record(transaction, actor, "payment.mismatched", before)
        .await
}

/// A try to pay has failed. The order can still be paid, and its stock is held until its time is over.
async fn failed(
    transaction: &Transaction,
    actor: Actor<'_>,
    locked: &mut Locked,
    reason: &str,
) -> Result<(), Error> {
    let is_open = matches!(
        locked.intent.status,
        IntentStatus::Requested | IntentStatus::Pending
    );
    if !is_open {
        return Ok(());
    }
    let before = locked.trail();
    locked.intent.failure = Some(reason.to_owned());
    locked.write_intent(transaction).await?;
    locked
        .record(transaction, actor, "payment.failed", before)
        .await
}

/// An order whose stock is locked cannot be paid any more.
pub(super) async fn cancelled(
    transaction: &Transaction,
    actor: Actor<'_>,
    locked: &mut Locked,
    reason: CancelReason,
) -> Result<(), Error> {
    match locked.intent.status {
        IntentStatus::Requested | IntentStatus::Pending | IntentStatus::Cancelling => {}
        IntentStatus::Succeeded
        | IntentStatus::Mismatched
        | IntentStatus::Cancelled
        | IntentStatus::Refused => return locked.write_expired(transaction).await,
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
    locked.write_expired(transaction).await
}

/// So much was given back at the provider by hand, altogether, some of which we may have been told before.
async fn refunded(
    transaction: &Transaction,
    actor: Actor<'_>,
    locked: &mut Locked,
    total: &Received,
) -> Result<(), Error> {
    let known = by_hand(transaction, &locked.order).await?;
    let Some(total) = total
        .amount
        .filter(|_| total.currency == locked.currency.to_string())
    else {
        tracing::error!(order = %locked.order.id, ?total, "a refund in another currency than the order's");
        return Ok(());
    };
    let left = locked.order.amount_paid() - locked.order.amount_refunded;
    let unknown = (total - known).min(left);
    if unknown <= Money::ZERO {
        return Ok(());
    }
    let before = locked.trail();
    let refund = New {
        amount: unknown,
        reason: "refunded at the payment provider".to_owned(),
        restock: false,
        by_hand: true,
        items: Vec::new(),
    };
    let id = refund.add(transaction, actor, &mut locked.order).await?;
    crate::refunds::settle(
        transaction,
        locked.order.business_id,
        id,
        refunds::Status::Succeeded,
        None,
    )
    .await?;
    locked
        .record(transaction, actor, "order.refunded", before)
        .await
}
