//! This module holds the model's rules for orders by card, their payments and their refunds.

use std::collections::BTreeSet;

use domain::card::checkout::{EventKind, EventOutcome};
use domain::card::provider::{Failure, IntentState, RefundState};
use entity::orders::{CancelReason, Status};
use entity::payment_intents::Status as Intent;
use entity::refunds::Status as RefundStatus;
use entity::reservations::Status as HoldStatus;

use super::super::provider::{Behaviour, Call};
use super::{Calls, Model, Refund, Refusal};

/// The caller of a cancellation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By {
    Customer(usize),
    Staff,
    Admin,
}

/// The scope of a refund.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Rest,
    Amount(i64),
    Items(Vec<(usize, i64)>),
}

impl Model {
    /// A short text of the requests to the provider, with indexes in place of ids.
    pub(crate) fn in_short(&self, calls: &[(Call, Behaviour)]) -> String {
        let texts = calls.iter().map(|(call, behaviour)| {
            let (what, order) = match call {
                Call::Create(id) => ("create", Some(id)),
                Call::Cancel(id) => ("cancel", Some(id)),
                Call::Refund(id) => ("refund", self.refunds.get(id)),
                Call::Status(id) => ("status", self.refunds.get(id)),
            };
            let at = order.and_then(|id| self.find(*id));
            format!("{what} {at:?}: {behaviour:?}")
        });
        texts.collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn touch_order(&mut self, at: usize) {
        for (product, _) in self.orders[at].items.clone() {
            self.touch(product);
        }
    }

    /// Requests the intent from the provider if the client secret is not known yet.
    pub(crate) fn finish(&mut self, at: usize, calls: &mut Calls) -> Result<(), Refusal> {
        let order = &self.orders[at];
        if order.card().secret {
            return Ok(());
        }
        if order.card().intent == Intent::Refused {
            return Err(Refusal::Provider);
        }
        if order.status == Status::Cancelled {
            return Err(Refusal::InvalidTransition);
        }
        match self.create(at, calls) {
            Some(true) if self.orders[at].status == Status::Cancelled => {
                Err(Refusal::InvalidTransition)
            }
            Some(true) => Ok(()),
            Some(false) | None => Err(Refusal::Provider),
        }
    }

    /// `None` if there was no response; otherwise whether the intent was created.
    pub(crate) fn create(&mut self, at: usize, calls: &mut Calls) -> Option<bool> {
        let id = self.orders[at].id;
        let (call, behaviour) = calls.pop_front().unwrap();
        assert_eq!(call, Call::Create(id));
        match self
            .provider_account
            .create(id, self.orders[at].total, behaviour)
        {
            Ok(made) => {
                self.made(at, &made.state);
                Some(true)
            }
            Err(Failure::NoAnswer(_)) => None,
            Err(Failure::Refused { .. }) => {
                self.refused(at);
                Some(false)
            }
        }
    }

    fn made(&mut self, at: usize, state: &IntentState) {
        let order = &mut self.orders[at];
        let card = order.card_mut();
        (card.known, card.secret) = (true, true);
        if card.intent == Intent::Requested {
            card.intent = Intent::Pending;
        }
        if order.status == Status::Created {
            order.step(Status::PaymentPending);
        }
        if let IntentState::Paid(received) = state {
            self.paid(at, received.minor, &received.currency);
        }
    }

    fn refused(&mut self, at: usize) {
        let order = &mut self.orders[at];
        if order.card().known {
            return;
        }
        order.card_mut().intent = Intent::Refused;
        order.card_mut().has_failed = true;
        if order.status == Status::Created {
            self.cancel_unpaid(at, CancelReason::PaymentRefused);
        }
    }

    fn cancel_unpaid(&mut self, at: usize, reason: CancelReason) {
        self.touch_order(at);
        self.release(at);
        self.orders[at].reason = Some(reason);
        self.orders[at].step(Status::Cancelled);
    }

    fn release(&mut self, at: usize) {
        let hold = self.orders[at].card().hold;
        self.holds[hold].resolve(HoldStatus::Confirmed);
        for (product, _) in self.orders[at].items.clone() {
            self.allocate(product);
        }
    }

    /// Processes an event of the provider.
    pub(crate) fn receive(
        &mut self,
        at: usize,
        event: &str,
        event_kind: &EventKind,
    ) -> EventOutcome {
        let is_new = self.orders[at].card_mut().taken.insert(event.to_owned());
        if !is_new {
            return EventOutcome::Before;
        }
        match event_kind {
            EventKind::Paid(received) => self.paid(at, received.minor, &received.currency),
            EventKind::Failed(_) => {
                let card = self.orders[at].card_mut();
                if matches!(card.intent, Intent::Requested | Intent::Pending) {
                    (card.known, card.has_failed) = (true, true);
                }
            }
            EventKind::Cancelled if self.orders[at].card().expires <= self.now => {
                self.cancelled(at, CancelReason::PaymentExpired);
            }
            EventKind::Cancelled => self.cancelled(at, CancelReason::PaymentCancelled),
            EventKind::RefundsChanged => {
                self.orders[at].card_mut().known = true;
                self.read_refunds(at);
            }
            EventKind::DisputeChanged(_) => panic!("nobody disputes a payment here"),
        }
        EventOutcome::Now
    }

    pub(crate) fn paid(&mut self, at: usize, received: i64, currency: &str) {
        let order = &mut self.orders[at];
        if matches!(order.card().intent, Intent::Succeeded | Intent::Mismatched) {
            return;
        }
        let total = order.total;
        let card = order.card_mut();
        card.known = true;
        if received != total || currency != "USD" {
            (card.intent, card.has_failed) = (Intent::Mismatched, true);
            self.touch_order(at);
            return;
        }
        (card.intent, card.has_failed, card.paid) = (Intent::Succeeded, false, total);
        self.touch_order(at);
        match self.orders[at].status {
            Status::Created | Status::PaymentPending if self.has_stock(at) => {
                if self.orders[at].status == Status::Created {
                    self.orders[at].step(Status::PaymentPending);
                }
                self.use_places(at);
                let hold = self.orders[at].card().hold;
                self.holds[hold].resolve(HoldStatus::Confirmed);
                for (product, quantity) in self.orders[at].items.clone() {
                    self.change_stock(product, -quantity);
                }
                self.orders[at].step(Status::Paid);
            }
            Status::Created | Status::PaymentPending => {
                self.release(at);
                self.orders[at].reason = Some(CancelReason::StockGone);
                self.orders[at].step(Status::Cancelled);
                self.refund(at, total, Vec::new(), false);
            }
            Status::Cancelled => {
                self.orders[at].reason = Some(CancelReason::PaidTooLate);
                self.refund(at, total, Vec::new(), false);
            }
            other => panic!("{other:?} and was not paid"),
        }
    }

    fn refund(&mut self, at: usize, amount: i64, items: Vec<(usize, i64)>, restock: bool) {
        self.orders[at].card_mut().refunds.push(Refund {
            id: None,
            amount,
            // A refund of zero needs no request to the provider.
            status: match amount {
                0 => RefundStatus::Succeeded,
                _ => RefundStatus::Requested,
            },
            restock,
            hand: None,
            items,
            known: false,
        });
    }

    pub(crate) fn cancelled(&mut self, at: usize, reason: CancelReason) {
        self.touch_order(at);
        let card = self.orders[at].card_mut();
        if !matches!(
            card.intent,
            Intent::Requested | Intent::Pending | Intent::Cancelling
        ) {
            return;
        }
        (card.intent, card.known) = (Intent::Cancelled, true);
        if self.orders[at].status != Status::Cancelled {
            self.cancel_unpaid(at, reason);
        }
    }

    /// Stores the provider's refunds; failed ones first, because they free an amount for the others.
    pub(crate) fn read_refunds(&mut self, at: usize) {
        if self.orders[at].card().intent == Intent::Mismatched {
            return;
        }
        for fails in [true, false] {
            for nth in 0..self.orders[at].card().refunds.len() {
                self.read_ours(at, nth, fails);
            }
        }
        let order = self.orders[at].id;
        for (hand, minor) in self
            .provider_account
            .by_hand(order)
            .to_vec()
            .into_iter()
            .enumerate()
        {
            let card = self.orders[at].card();
            let written = card.refunds.iter().filter(|refund| {
                refund.hand == Some(hand) && refund.status != RefundStatus::Failed
            });
            let written: i64 = written.map(|refund| refund.amount).sum();
            let missing = (minor - written).min(card.paid - card.refunded());
            if missing > 0 {
                self.refund(at, missing, Vec::new(), false);
                let refunds = &mut self.orders[at].card_mut().refunds;
                let refund = refunds.last_mut().unwrap();
                refund.status = RefundStatus::Succeeded;
                (refund.hand, refund.known) = (Some(hand), true);
            }
        }
    }

    fn read_ours(&mut self, at: usize, nth: usize, fails: bool) {
        let refund = &self.orders[at].card().refunds[nth];
        let given = refund
            .id
            .and_then(|id| self.provider_account.refunds.get(&id));
        let status = match given.and_then(|given| given.state.as_ref()) {
            None => return,
            Some(RefundState::Pending) => RefundStatus::Pending,
            Some(RefundState::Succeeded) => RefundStatus::Succeeded,
            Some(RefundState::Failed(_)) => RefundStatus::Failed,
        };
        let card = self.orders[at].card();
        let counts_anew = refund.status == RefundStatus::Failed && status != RefundStatus::Failed;
        let has_room = card.refunded() + refund.amount <= card.paid;
        if (status == RefundStatus::Failed) != fails || (counts_anew && !has_room) {
            return;
        }
        let refund = &mut self.orders[at].card_mut().refunds[nth];
        (refund.status, refund.known) = (status, true);
    }

    /// Cancels an order with a mismatched payment once it has expired.
    pub(crate) fn end_mismatched(&mut self, at: usize) {
        self.touch_order(at);
        let order = &self.orders[at];
        let is_open = matches!(order.status, Status::Created | Status::PaymentPending);
        if is_open && order.card().expires <= self.now {
            self.cancel_unpaid(at, CancelReason::PaymentExpired);
        }
    }

    pub(crate) fn cancel(&mut self, at: usize, by: By) -> Result<(), Refusal> {
        let order = &self.orders[at];
        if matches!(by, By::Customer(who) if who != order.customer) {
            return Err(Refusal::NoOrder);
        }
        match (order.status, by) {
            (Status::Fulfilled | Status::Cancelled, _) => return Err(Refusal::InvalidTransition),
            (Status::Paid, By::Customer(_) | By::Staff) => return Err(Refusal::Forbidden),
            _ => {}
        }
        let status = order.status;
        if let Some(card) = &mut self.orders[at].card
            && status != Status::Paid
        {
            if matches!(card.intent, Intent::Requested | Intent::Pending) {
                card.intent = Intent::Cancelling;
            }
            self.cancel_unpaid(at, CancelReason::Requested);
            return Ok(());
        }
        let goods = self.returning(at);
        if !goods.is_empty() {
            self.touch_order(at);
        }
        self.restock_goods(at, goods);
        self.orders[at].reason = Some(CancelReason::Requested);
        self.orders[at].step(Status::Cancelled);
        if let Some(card) = &self.orders[at].card {
            let rest = card.paid - card.refunded();
            if rest > 0 {
                self.refund(at, rest, Vec::new(), false);
            }
        }
        Ok(())
    }

    /// The units that a cancellation restocks: all that are not back yet, except those that were refunded without a
    /// restock.
    fn returning(&self, at: usize) -> Vec<(usize, i64)> {
        let items = self.orders[at].items.iter();
        let items = items.map(|(product, quantity)| {
            let kept = self.refunded(at, *product, |refund| !refund.restock);
            (*product, quantity - self.returned(at, *product) - kept)
        });
        items.filter(|(_, quantity)| *quantity > 0).collect()
    }

    /// Units of one product in refunds that have not failed.
    fn refunded(&self, at: usize, product: usize, which: impl Fn(&Refund) -> bool) -> i64 {
        let refunds = self.orders[at].card.iter().flat_map(|card| &card.refunds);
        let refunds = refunds.filter(|refund| refund.status != RefundStatus::Failed);
        let items = refunds.filter(|refund| which(refund));
        let items = items.flat_map(|refund| &refund.items);
        let items = items.filter(|(other, _)| *other == product);
        items.map(|(_, quantity)| quantity).sum()
    }

    fn returned(&self, at: usize, product: usize) -> i64 {
        let returned = self.orders[at].returned.get(&product);
        returned.copied().unwrap_or(0)
    }

    fn restock_goods(&mut self, at: usize, goods: Vec<(usize, i64)>) {
        for (product, quantity) in goods {
            *self.orders[at].returned.entry(product).or_default() += quantity;
            self.change_stock(product, quantity);
        }
    }

    /// The number of units of a product on an order, and the number of those that were sold.
    fn sold(&self, at: usize, product: usize) -> (i64, i64) {
        let order = &self.orders[at];
        let line = order.items.iter().find(|(other, _)| *other == product);
        let quantity = line.map_or(0, |(_, quantity)| *quantity);
        let was_paid = order.steps.iter().any(|(_, to)| *to == Status::Paid);
        (quantity, if was_paid { quantity } else { 0 })
    }

    /// Units of a product that were not refunded by items.
    fn unrefunded(&self, at: usize, product: usize) -> i64 {
        let (ordered, _) = self.sold(at, product);
        (ordered - self.refunded(at, product, |_| true)).max(0)
    }

    /// Units of a product that may still be refunded by items.
    fn refundable(&self, at: usize, product: usize, restock: bool) -> i64 {
        if restock {
            self.sold(at, product).1 - self.returned(at, product)
        } else {
            self.unrefunded(at, product)
        }
    }

    pub(crate) fn request_refund(
        &mut self,
        at: usize,
        what: &What,
        restock: bool,
    ) -> Result<(), Refusal> {
        let restock = restock && matches!(what, What::Items(_));
        if self.orders[at].card.is_none() {
            return Err(Refusal::NotPaidByCard);
        }
        if !matches!(
            self.orders[at].status,
            Status::Paid | Status::Fulfilled | Status::Cancelled
        ) {
            return Err(Refusal::NotPaid);
        }
        let mut items: Vec<(usize, i64)> = Vec::new();
        if let What::Items(wanted) = what {
            for (product, quantity) in wanted {
                match items.iter_mut().find(|(other, _)| other == product) {
                    Some((_, sum)) => *sum += quantity,
                    None => items.push((*product, *quantity)),
                }
            }
        }
        let products: BTreeSet<_> = items.iter().map(|(product, _)| *product).collect();
        // The error is about the first invalid product in order of ids.
        let mut products: Vec<usize> = products.into_iter().collect();
        products.sort_by_key(|product| self.products[*product].id);
        for product in products {
            let (_, wanted) = items.iter().find(|(other, _)| *other == product).unwrap();
            let left = self.refundable(at, product, restock);
            if *wanted > left {
                return Err(Refusal::MoreThanSold(product, left));
            }
        }
        let card = self.orders[at].card();
        let left = card.paid - card.refunded();
        let priced = items.iter().map(|(product, quantity)| {
            let unrefunded = self.unrefunded(at, *product);
            let price = self.orders[at].prices.get(product);
            price.map_or(0, |price| price * unrefunded.min(*quantity))
        });
        let price: i64 = priced.sum();
        let amount = match what {
            What::Rest => left,
            What::Amount(amount) => *amount,
            What::Items(_) if restock => price.min(left),
            What::Items(_) => price,
        };
        if left == 0 && !(restock && amount == 0) {
            return Err(Refusal::AlreadyRefunded);
        }
        if amount > left {
            return Err(Refusal::MoreThanPaid(left));
        }
        if amount <= 0 && !restock {
            return Err(Refusal::NothingToRefund);
        }
        if restock {
            self.touch_order(at);
            self.restock_goods(at, items.clone());
        }
        self.refund(at, amount, items, restock);
        Ok(())
    }

    pub(crate) fn fulfil(&mut self, at: usize) -> Result<(), Refusal> {
        let order = &mut self.orders[at];
        match (order.status, &order.card) {
            (Status::Paid, Some(card)) if card.refunded() == card.paid => {
                Err(Refusal::AlreadyRefunded)
            }
            (Status::Paid, Some(_)) | (Status::Approved, None) => {
                order.step(Status::Fulfilled);
                Ok(())
            }
            _ => Err(Refusal::InvalidTransition),
        }
    }
}
