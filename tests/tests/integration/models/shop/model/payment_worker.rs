//! This module holds the model's rules for the payment worker: its requests to the provider and their effects.

use std::collections::{BTreeSet, VecDeque};

use domain::card::provider::{Failure, IntentState, RefundState};
use entity::RefundId;
use entity::orders::CancelReason;
use entity::payment_intents::Status as Intent;
use entity::refunds::Status as RefundStatus;
use uuid::Uuid;

use super::super::provider::{Behaviour, Call};
use super::Model;

/// Requests to the provider, in order.
pub(crate) type Calls = VecDeque<(Call, Behaviour)>;

/// Ids of the orders of intents and of refunds that were due when a run began, and of those that may have become due
/// during it.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) must: BTreeSet<Uuid>,
    pub(crate) may: BTreeSet<Uuid>,
}

impl Model {
    /// Applies a run of the payment worker that has made these requests.
    pub(crate) fn work(&mut self, due: &Due, calls: &mut Calls) {
        // Paid orders come first and need no request that could fail.
        let is_due = |at: &usize| due.must.contains(&self.orders[*at].id.0);
        let orders: Vec<usize> = (0..self.orders.len()).filter(is_due).collect();
        for at in &orders {
            let intent = self.orders[*at].card().intent;
            if intent == Intent::Mismatched {
                self.end_mismatched(*at);
            }
            if matches!(intent, Intent::Mismatched | Intent::Succeeded) {
                self.read_refunds(*at);
            }
        }
        let mut processed = BTreeSet::new();
        while let Some((Call::Create(id) | Call::Cancel(id), _)) = calls.front() {
            let at = self.find(*id).unwrap();
            assert!(due.may.contains(&id.0), "{at} was not due");
            processed.insert(at);
            if !self.process(at, calls) {
                return;
            }
        }
        for at in orders.into_iter().filter(|at| !processed.contains(at)) {
            match self.orders[at].card().intent {
                Intent::Mismatched | Intent::Succeeded | Intent::Cancelled | Intent::Refused => {}
                open => panic!("{at} is {open:?} and due, and was not requested"),
            }
        }
        self.work_on_refunds(due, calls);
    }

    fn work_on_refunds(&mut self, due: &Due, calls: &mut Calls) {
        let mut processed = BTreeSet::new();
        while let Some((call, behaviour)) = calls.pop_front() {
            let (Call::Refund(id) | Call::Status(id)) = call else {
                panic!("{call:?} after refunds");
            };
            let (at, nth) = self.find_refund(id);
            let is_new = self.orders[at].card().refunds[nth].id.is_none();
            assert!(is_new || due.may.contains(&id.0), "{id} was not due");
            self.orders[at].card_mut().refunds[nth].id = Some(id);
            processed.insert(id);
            if !self.process_refund(id, call, behaviour) {
                return;
            }
        }
        let refunds: Vec<RefundId> = self.refunds.keys().copied().collect();
        let is_missed = |id: &RefundId| due.must.contains(&id.0) && !processed.contains(id);
        for id in refunds.into_iter().filter(is_missed) {
            let (at, nth) = self.find_refund(id);
            let status = self.orders[at].card().refunds[nth].status;
            let is_over = matches!(status, RefundStatus::Succeeded | RefundStatus::Failed);
            assert!(is_over, "{id} is {status:?} and due, and was not requested");
        }
    }

    fn process(&mut self, at: usize, calls: &mut Calls) -> bool {
        let card = self.orders[at].card();
        if card.intent == Intent::Requested || !card.known {
            match self.create(at, calls) {
                None => return false,
                Some(false) => return true,
                Some(true) if self.orders[at].card().intent != Intent::Cancelling => return true,
                Some(true) => {}
            }
        }
        let (intent, expires) = (
            self.orders[at].card().intent,
            self.orders[at].card().expires,
        );
        match intent {
            Intent::Cancelling => {}
            Intent::Pending if expires <= self.now => {}
            other => panic!("{at} is {other:?} until {expires}, and was cancelled"),
        }
        self.touch_order(at);
        let id = self.orders[at].id;
        let (call, behaviour) = calls.pop_front().unwrap();
        assert_eq!(call, Call::Cancel(id));
        match self
            .provider_account
            .cancel(id, behaviour)
            .map(|intent| intent.state)
        {
            Err(Failure::NoAnswer(_)) => return false,
            Ok(IntentState::Open) => {}
            Ok(IntentState::Paid(received)) => self.paid(at, received.minor, &received.currency),
            Ok(IntentState::Cancelled) | Err(Failure::Refused { .. }) => {
                self.cancelled(at, CancelReason::PaymentExpired);
            }
        }
        true
    }

    /// Stores the ids of an order's refunds, oldest first, as read from the database.
    pub(crate) fn name_refunds(&mut self, at: usize, ids: &[RefundId]) {
        if let Some(card) = &mut self.orders[at].card {
            for (refund, id) in card.refunds.iter_mut().zip(ids) {
                refund.id = Some(*id);
            }
        }
    }

    /// The index of a refund's order, and the refund's index in that order.
    fn find_refund(&self, id: RefundId) -> (usize, usize) {
        let at = self.find(self.refunds[&id]).unwrap();
        let refunds = &self.orders[at].card().refunds;
        let known = refunds.iter().position(|refund| refund.id == Some(id));
        // A refund that this step has created is the first one without an id.
        let nth = known.or_else(|| refunds.iter().position(|refund| refund.id.is_none()));
        (at, nth.unwrap())
    }

    fn process_refund(&mut self, id: RefundId, call: Call, behaviour: Behaviour) -> bool {
        let (at, nth) = self.find_refund(id);
        let order = self.orders[at].id;
        let refund = &mut self.orders[at].card_mut().refunds[nth];
        let expected = match (refund.status, refund.known) {
            (RefundStatus::Pending, true) => Call::Status(id),
            (RefundStatus::Requested, _) => Call::Refund(id),
            other => panic!("{id} is {other:?} and was requested"),
        };
        assert_eq!(call, expected);
        let answer = match call {
            Call::Status(_) => self.provider_account.status(id, behaviour),
            _ => self
                .provider_account
                .refund(id, order, refund.amount, behaviour),
        };
        (refund.status, refund.known) = match answer {
            Err(Failure::NoAnswer(_)) => return false,
            Err(Failure::Refused { .. }) => (RefundStatus::Failed, refund.known),
            Ok(given) => match given.state {
                RefundState::Pending => (RefundStatus::Pending, true),
                RefundState::Succeeded => (RefundStatus::Succeeded, true),
                RefundState::Failed(_) => (RefundStatus::Failed, true),
            },
        };
        true
    }
}
