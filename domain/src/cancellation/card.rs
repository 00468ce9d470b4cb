//! Cancelling a card order: its stock is released, and its intent is cancelled or its payment refunded.

use entity::orders::{CancelReason, Status};
use entity::{Money, OrderId, payment_intents};

use crate::audit::Action;
use crate::card::attention;
use crate::card::locked_order::{LockedOrder, Stock};
use crate::card::refunds::RefundToWrite;
use crate::foundation::write::Write;
use crate::orders::disputes;
use crate::orders::goods::Goods;
use crate::orders::{Order, step, transitions};
use crate::{Caller, Error, Outcome, Transaction};

/// The reason that the refund records.
const REASON: &str = "order cancelled";

/// Cancels the order; the provider is called after the commit. `Some` is the original outcome of a retry.
pub(super) async fn cancel(
    write: &Write<'_, Order>,
    caller: &Caller,
    id: OrderId,
) -> Result<Option<Outcome<Order>>, Error> {
    let transaction = write.transaction();
    let locked = LockedOrder::of(transaction, caller.business_id, id, Stock::Locked).await?;
    let mut locked = locked.ok_or(Error::OrderNotFound(id))?;
    if let Some(replayed) = write.replayed().await? {
        return Ok(Some(replayed));
    }
    let order = &locked.order;
    let role = caller.authority.role();
    transitions::find_for(role, order.payment_method, order.status, Status::Cancelled)?;
    if order.status == Status::Paid {
        cancel_paid(transaction, caller, &mut locked).await?;
    } else {
        cancel_unpaid(transaction, caller, &mut locked).await?;
    }
    Ok(None)
}

/// Cancels an unpaid order: its hold is released and its intent is cancelled.
async fn cancel_unpaid(
    transaction: &Transaction,
    caller: &Caller,
    locked: &mut LockedOrder,
) -> Result<(), Error> {
    if matches!(
        locked.intent.status,
        payment_intents::Status::Requested | payment_intents::Status::Pending
    ) {
        locked.intent.status = payment_intents::Status::Cancelling;
        locked.intent.next_try_at = Some(locked.now());
        locked.intent.tries = 0;
        locked.write_intent(transaction).await?;
    }
    let reason = CancelReason::Requested;
    locked
        .cancel_unpaid(transaction, caller.into(), reason)
        .await
}

/// Cancels a paid order: refunds what is left of the payment and restocks the goods. A disputed payment is not
/// refunded; what a lost dispute took is gone.
async fn cancel_paid(
    transaction: &Transaction,
    caller: &Caller,
    locked: &mut LockedOrder,
) -> Result<(), Error> {
    let order = &locked.order;
    let rest = order.amount_paid() - order.amount_refunded - order.amount_lost;
    if rest > Money::ZERO {
        disputes::check_none(transaction, order.business_id, order.id).await?;
    }
    let before = locked.audit_snapshot();
    let goods = Goods::of(transaction, caller.business_id, locked.order.id).await?;
    let returning = goods.returning();
    locked
        .restock(transaction, caller.into(), returning)
        .await?;
    locked.order.cancel_reason = Some(CancelReason::Requested);
    if rest > Money::ZERO {
        let refund = RefundToWrite {
            amount: rest,
            reason: REASON.to_owned(),
            restock: false,
            at_provider: None,
            items: Vec::new(),
        };
        refund
            .add(transaction, caller.into(), &mut locked.order)
            .await?;
        if locked.order.attention.is_some() {
            attention::assess(transaction, locked).await?;
        }
    }
    step(
        transaction,
        caller.into(),
        &mut locked.order,
        Status::Cancelled,
    )
    .await?;
    locked
        .record(transaction, caller.into(), Action::OrderCancelled, before)
        .await
}
