//! Attention: why a card order needs a person, and how much of it disputes took.
//!
//! Both follow from the order's payment, refunds and disputes. They are stored on the order, where a list finds them by
//! a partial index of such orders.

use entity::orders::{self, Attention};
use entity::{Money, disputes, payment_intents, refunds};

use crate::card::locked_order::LockedOrder;
use crate::orders::write;
use crate::{Error, Transaction};

/// Recomputes both for a locked order and writes the order. Three round trips: two reads and a write.
pub(crate) async fn assess(
    transaction: &Transaction,
    locked: &mut LockedOrder,
) -> Result<(), Error> {
    let (business, id) = (locked.order.business_id, locked.order.id);
    let refunds = crate::orders::refunds::of(transaction, business, id).await?;
    let disputes = crate::orders::disputes::of(transaction, business, id).await?;
    let lost = disputes
        .iter()
        .filter(|one| one.status == disputes::Status::Lost);
    let lost: Money = lost.map(|one| one.amount).sum();
    locked.order.amount_lost = lost.min(locked.order.amount_paid());
    let reasons = reasons(&locked.order, &locked.intent, &refunds, &disputes);
    locked.order.set_attention(&reasons);
    write(transaction, &locked.order).await
}

/// The reasons, each at most once. `tradeline verify` states the same rule in SQL.
fn reasons(
    order: &orders::Model,
    intent: &payment_intents::Model,
    refunds: &[refunds::Model],
    disputes: &[disputes::Model],
) -> Vec<Attention> {
    let is_mismatched = intent.status == payment_intents::Status::Mismatched
        && intent
            .received_minor
            .is_none_or(|received| intent.returned_minor < received);
    let has_failed = order.amount_refunded + order.amount_lost < order.amount_paid()
        && refunds.iter().any(|refund| has_failed(refund, refunds));
    let is_any = |is: fn(disputes::Status) -> bool| disputes.iter().any(|one| is(one.status));
    let is_lost = |status| status == disputes::Status::Lost;
    let reasons = [
        (is_mismatched, Attention::PaymentMismatched),
        (has_failed, Attention::RefundFailed),
        (is_any(disputes::Status::is_open), Attention::DisputeOpen),
        (is_any(is_lost), Attention::DisputeLost),
    ];
    let reasons = reasons.into_iter().filter(|(is, _)| *is);
    reasons.map(|(_, reason)| reason).collect()
}

/// Whether a refund of this service failed and no money was refunded since, by the service or by hand.
fn has_failed(refund: &refunds::Model, all: &[refunds::Model]) -> bool {
    let ours = |one: &refunds::Model| !one.by_hand;
    let is_failed = |one: &refunds::Model| one.status == refunds::Status::Failed;
    // A refund of 0 only records that goods came back.
    let gives = |one: &refunds::Model| !is_failed(one) && one.amount > Money::ZERO;
    let is_later = |one: &&refunds::Model| gives(one) && one.created_at > refund.updated_at;
    ours(refund) && is_failed(refund) && !all.iter().any(|one| is_later(&one))
}
