//! Reconciles an order's refunds with those at the provider. The provider's current state decides both ways: a refund
//! that fails after success no longer counts, nor does one by hand that is cancelled.
//!
//! A refund requested here reserves its amount before it reaches the provider. A refund by hand that does not fit
//! beside it is written in part. When the refund of this service fails, the refunds are read again and the rest is
//! written.

use entity::refunds::{self, Status};
use entity::{Currency, Money, payment_intents};
use serde_json::json;

use super::locked_order::LockedOrder;
use crate::audit::{self, Action, Actor};
use crate::card::provider::{FoundRefund, RefundState};
use crate::card::{
    refunds as domain_refunds,
    refunds::{RefundResult, RefundToWrite},
};
use crate::orders::refunds as order_refunds;
use crate::{Error, Transaction};

/// The reason of refunds that were made by hand.
const BY_HAND: &str = "refunded at the payment provider";
/// Why a row no longer counts that stood for several refunds by hand.
const REPLACED: &str = "replaced by one refund for each at the payment provider";

/// Writes the differences. The caller then assesses and writes the order and its intent.
pub(super) async fn correct(
    transaction: &Transaction,
    actor: Actor<'_>,
    locked: &mut LockedOrder,
    found: &[FoundRefund],
) -> Result<(), Error> {
    if locked.intent.status == payment_intents::Status::Mismatched {
        return returned(transaction, actor, locked, found).await;
    }
    let (business, id) = (locked.order.business_id, locked.order.id);
    let known = order_refunds::of(transaction, business, id).await?;
    let paid = locked.order.amount_paid();
    let plan = Plan::of(known, found, paid, locked.currency);
    for (refund, result) in &plan.changed {
        domain_refunds::settle(transaction, locked.currency, refund, result).await?;
    }
    let added: Money = plan.added.iter().map(|new| new.amount).sum();
    locked.order.amount_refunded = plan.refunded() - added;
    for new in plan.added {
        let before = locked.audit_snapshot();
        let amount = new.amount.to_text(locked.currency);
        let refund_id = new.add(transaction, actor, &mut locked.order).await?;
        let more = json!({"refund_id": refund_id, "amount": amount, "reason": BY_HAND});
        let change = locked.change(Action::OrderRefunded, before, more);
        audit::record_as(transaction, actor, change).await?;
    }
    Ok(())
}

/// For a mismatched payment: sums its refunds at the provider, in minor units of the payment's currency.
async fn returned(
    transaction: &Transaction,
    actor: Actor<'_>,
    locked: &mut LockedOrder,
    found: &[FoundRefund],
) -> Result<(), Error> {
    let counts = |one: &&FoundRefund| {
        !matches!(one.state, RefundState::Failed(_))
            && Some(&one.amount.currency) == locked.intent.received_currency.as_ref()
    };
    let returned: i64 = found
        .iter()
        .filter(counts)
        .map(|one| one.amount.minor)
        .sum();
    if returned == locked.intent.returned_minor {
        return Ok(());
    }
    let before = locked.audit_snapshot();
    locked.intent.returned_minor = returned;
    let more = json!({"returned_minor": returned, "currency": locked.intent.received_currency});
    let change = locked.change(Action::PaymentReturned, before, more);
    audit::record_as(transaction, actor, change).await
}

/// The differences to write.
struct Plan {
    /// The refunds after the changes, without the added ones.
    rows: Vec<refunds::Model>,
    changed: Vec<(refunds::Model, RefundResult)>,
    added: Vec<RefundToWrite>,
    paid: Money,
}

impl Plan {
    fn of(
        known: Vec<refunds::Model>,
        found: &[FoundRefund],
        paid: Money,
        currency: Currency,
    ) -> Self {
        let mut plan = Self {
            rows: known,
            changed: Vec::new(),
            added: Vec::new(),
            paid,
        };
        let is_failed = |one: &&FoundRefund| matches!(one.state, RefundState::Failed(_));
        // Failed refunds come first, because they free amounts for the others.
        let failed_first = || {
            let others = found.iter().filter(|one| !is_failed(one));
            found.iter().filter(is_failed).chain(others)
        };
        for one in failed_first() {
            if one.refund_id.is_some() {
                plan.update_own(one);
            }
        }
        plan.match_manual(found);
        for one in failed_first() {
            if one.refund_id.is_none() {
                plan.add_manual(one, currency);
            }
        }
        plan
    }

    /// The refunded sum after the changes.
    fn refunded(&self) -> Money {
        let added = self.added.iter().map(|new| new.amount);
        let rows = self.rows.iter().filter(|row| counts(row));
        rows.map(|row| row.amount).chain(added).sum()
    }

    fn set(&mut self, at: usize, result: RefundResult) {
        let row = &mut self.rows[at];
        if row.status == result.status && row.provider_id == result.provider_id {
            return;
        }
        self.changed.push((row.clone(), result.clone()));
        row.status = result.status;
        row.provider_id = result.provider_id;
    }

    fn update_own(&mut self, found: &FoundRefund) {
        let at = self
            .rows
            .iter()
            .position(|row| !row.by_hand && Some(row.id) == found.refund_id);
        let Some(at) = at else {
            tracing::error!(
                refund = found.id,
                "a refund at the provider has an id that is not one of its order's refunds"
            );
            return;
        };
        let result = RefundResult::of(&found.id, &found.state);
        let counts_anew = result.status != Status::Failed && !counts(&self.rows[at]);
        if counts_anew && self.refunded() + self.rows[at].amount > self.paid {
            tracing::error!(
                refund = found.id,
                "a refund that was recorded as failed was made, as well as its replacement"
            );
            return;
        }
        self.set(at, result);
    }

    /// Rows by hand without a provider id were written by an earlier version, which added them up. A row that equals
    /// one refund gets its id; other rows are replaced.
    fn match_manual(&mut self, found: &[FoundRefund]) {
        for at in 0..self.rows.len() {
            let row = &self.rows[at];
            if !row.by_hand || row.provider_id.is_some() || !counts(row) {
                continue;
            }
            let named = |id: &str| {
                let mut rows = self.rows.iter();
                rows.any(|row| row.provider_id.as_deref() == Some(id))
            };
            let same = found.iter().find(|one| {
                one.refund_id.is_none() && one.amount.amount == Some(row.amount) && !named(&one.id)
            });
            let result = same.map_or_else(
                || RefundResult {
                    status: Status::Failed,
                    provider_id: None,
                    failure: Some(REPLACED.to_owned()),
                },
                |one| RefundResult::of(&one.id, &one.state),
            );
            self.set(at, result);
        }
    }

    fn add_manual(&mut self, found: &FoundRefund, currency: Currency) {
        let is_ours = found.amount.currency == currency.to_string();
        let Some(amount) = found.amount.amount.filter(|_| is_ours) else {
            tracing::error!(
                refund = found.id,
                "a refund is in another currency than its order"
            );
            return;
        };
        let result = RefundResult::of(&found.id, &found.state);
        let its = |row: &refunds::Model| row.by_hand && row.provider_id.as_ref() == Some(&found.id);
        for at in 0..self.rows.len() {
            if its(&self.rows[at]) && counts(&self.rows[at]) {
                self.set(at, result.clone());
            }
        }
        if result.status == Status::Failed {
            return;
        }
        let written = self.rows.iter().filter(|row| its(row) && counts(row));
        let written: Money = written.map(|row| row.amount).sum();
        let missing = (amount - written).min(self.paid - self.refunded());
        if missing > Money::ZERO {
            self.added.push(RefundToWrite {
                amount: missing,
                reason: BY_HAND.to_owned(),
                restock: false,
                at_provider: Some((found.id.clone(), result.status)),
                items: Vec::new(),
            });
        }
    }
}

fn counts(row: &refunds::Model) -> bool {
    row.status != Status::Failed
}

#[cfg(test)]
mod tests {
    use entity::{BusinessId, OrderId, RefundId, UserId};

    use super::*;
    use crate::card::provider::Received;

    const PAID: &str = "100";

    fn money(text: &str) -> Money {
        Money::parse(text, Currency::USD).unwrap()
    }

    /// A refund of this service.
    fn row(amount: &str, status: Status) -> refunds::Model {
        let now = chrono::DateTime::UNIX_EPOCH;
        refunds::Model {
            business_id: BusinessId::new(),
            id: RefundId::new(),
            order_id: OrderId::new(),
            amount: money(amount),
            status,
            reason: "a scratch".to_owned(),
            restock: false,
            by_hand: false,
            provider_id: None,
            failure: None,
            next_try_at: None,
            tries: 0,
            created_by: UserId::new(),
            created_at: now,
            updated_at: now,
        }
    }

    fn by_hand(amount: &str, id: Option<&str>) -> refunds::Model {
        refunds::Model {
            by_hand: true,
            provider_id: id.map(str::to_owned),
            ..row(amount, Status::Succeeded)
        }
    }

    fn found(id: &str, ours: Option<RefundId>, amount: &str, state: RefundState) -> FoundRefund {
        let amount = money(amount);
        FoundRefund {
            id: id.to_owned(),
            refund_id: ours,
            amount: Received {
                minor: 0,
                currency: "USD".to_owned(),
                amount: Some(amount),
            },
            state,
        }
    }

    fn failed() -> RefundState {
        RefundState::Failed("expired_or_canceled_card".to_owned())
    }

    fn plan(known: Vec<refunds::Model>, found: &[FoundRefund]) -> Plan {
        Plan::of(known, found, money(PAID), Currency::USD)
    }

    fn added(plan: &Plan) -> Vec<(&str, Money)> {
        let added = plan.added.iter();
        let added = added.map(|new| (new.at_provider.as_ref().unwrap().0.as_str(), new.amount));
        added.collect()
    }

    #[test]
    fn a_refund_that_fails_after_it_had_succeeded_counts_no_more() {
        let ours = row("40", Status::Succeeded);
        let id = ours.id;
        let plan = plan(vec![ours], &[found("re_1", Some(id), "40", failed())]);
        assert_eq!(plan.refunded(), Money::ZERO);
        let [(_, result)] = &plan.changed[..] else {
            panic!("{:?}", plan.changed);
        };
        assert_eq!(result.status, Status::Failed);
        assert_eq!(result.failure.as_deref(), Some("expired_or_canceled_card"));
        assert!(plan.added.is_empty());
    }

    #[test]
    fn an_unchanged_state_changes_nothing() {
        let ours = refunds::Model {
            provider_id: Some("re_1".to_owned()),
            ..row("40", Status::Succeeded)
        };
        let all = [
            found("re_1", Some(ours.id), "40", RefundState::Succeeded),
            found("re_2", None, "2.50", RefundState::Succeeded),
        ];
        let plan = plan(vec![ours, by_hand("2.50", Some("re_2"))], &all);
        assert!(plan.changed.is_empty() && plan.added.is_empty());
        assert_eq!(plan.refunded(), money("42.50"));
    }

    #[test]
    fn a_refund_by_hand_is_added_and_counts_no_more_when_it_is_cancelled() {
        let hand = found("re_2", None, "2.50", RefundState::Succeeded);
        let new = plan(Vec::new(), std::slice::from_ref(&hand));
        assert_eq!(added(&new), [("re_2", money("2.50"))]);
        let cancelled = FoundRefund {
            state: failed(),
            ..hand
        };
        let gone = plan(vec![by_hand("2.50", Some("re_2"))], &[cancelled]);
        assert_eq!(gone.refunded(), Money::ZERO);
        assert!(gone.added.is_empty());
    }

    #[test]
    fn a_refund_by_hand_beside_one_that_is_requested_is_written_as_far_as_there_is_money() {
        let ours = row("70", Status::Requested);
        let id = ours.id;
        let hand = found("re_2", None, "60", RefundState::Succeeded);
        let part = plan(vec![ours.clone()], std::slice::from_ref(&hand));
        assert_eq!(added(&part), [("re_2", money("30"))]);
        // When the refund of this service fails, the rest fits.
        let all = [hand, found("re_1", Some(id), "70", failed())];
        let rest = plan(vec![ours, by_hand("30", Some("re_2"))], &all);
        assert_eq!(added(&rest), [("re_2", money("30"))]);
        assert_eq!(rest.refunded(), money("60"));
    }

    #[test]
    fn a_refund_that_had_failed_and_was_made_counts_again_while_there_is_money() {
        let ours = row("40", Status::Failed);
        let all = [found("re_1", Some(ours.id), "40", RefundState::Succeeded)];
        assert_eq!(plan(vec![ours.clone()], &all).refunded(), money("40"));
        let other = row("80", Status::Succeeded);
        assert_eq!(plan(vec![ours, other], &all).refunded(), money("80"));
    }

    #[test]
    fn rows_of_an_earlier_version_are_read_or_replaced() {
        // A row for one refund gets its id and follows its state.
        let named = plan(
            vec![by_hand("2.50", None)],
            &[found("re_2", None, "2.50", failed())],
        );
        assert_eq!(named.refunded(), Money::ZERO);
        // A row for two refunds, one of which was cancelled.
        let two = [
            found("re_2", None, "2.50", failed()),
            found("re_3", None, "1", RefundState::Succeeded),
        ];
        let replaced = plan(vec![by_hand("3.50", None)], &two);
        assert_eq!(added(&replaced), [("re_3", money("1"))]);
        assert_eq!(replaced.refunded(), money("1"));
    }

    #[test]
    fn a_refund_in_another_currency_is_left_out() {
        let mut foreign = found("re_2", None, "2.50", RefundState::Succeeded);
        foreign.amount.currency = "EUR".to_owned();
        assert!(plan(Vec::new(), &[foreign]).added.is_empty());
    }
}
