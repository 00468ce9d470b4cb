//! Cancelling an order by card: its stock is free again, and its intent is cancelled, or what was paid is refunded.

use entity::orders::{CancelReason, Status};
use entity::{Money, OrderId, payment_intents};

use crate::audit::Action;
use crate::card::attention;
use crate::card::locked_order::{LockedOrder, Stock};
use crate::card::refunds::New;
use crate::foundation::write::Write;
use crate::orders::disputes;
use crate::orders::goods::Goods;
use crate::orders::{Order, step, transitions};
use crate::{Caller, Error, Outcome, Transaction};

/// Why what was paid is given back.
const REASON: &str = "order cancelled";

/// Cancels it; the provider is asked afterwards. `Some` is the original outcome, when this is a retry.
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
        undo(transaction, caller, &mut locked).await?;
    } else {
        stop(transaction, caller, &mut locked).await?;
    }
    Ok(None)
}

/// It is not paid: nothing is to be paid any more.
async fn stop(
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

/// It is paid: what is left of the payment goes back, and the goods to the shelf. Nothing goes back while the payment is
/// disputed; what a lost dispute has taken is gone.
async fn undo(
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
        .put_back(transaction, caller.into(), returning)
        .await?;
    locked.order.cancel_reason = Some(CancelReason::Requested);
    if rest > Money::ZERO {
        let refund = New {
            amount: rest,
            reason: REASON.to_owned(),
            restock: false,
            found: None,
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
