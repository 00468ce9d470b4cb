//! This module makes random histories: it chooses the next step by the weights of a test.

use std::ops::Range;

use entity::orders::Status;
use entity::refunds::Status as RefundStatus;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::model::{By, Change, Line, Model, Request, TICK, What};
use super::provider::PaymentState;
use super::steps::{Foreign, Step};

/// Seconds to hold, or to pay.
const TTL: [i64; 5] = [300, 900, 1500, 2100, 3300];

/// The steps of a test's histories. A weight is relative to the sum of its list.
#[derive(Debug, Clone)]
pub(crate) struct StepWeights {
    pub(crate) steps: Vec<(u32, Kind)>,
    pub(crate) commands: &'static [(u32, Command)],
    /// Numbers of concurrent commands, one of which is chosen for a step.
    pub(crate) at_once: &'static [usize],
    /// Numbers of lines, one of which is chosen for a command.
    pub(crate) lines: &'static [usize],
    /// The quantity of a line.
    pub(crate) quantity: Range<i64>,
    /// The change of stock by a correction.
    pub(crate) adjust: Range<i64>,
    /// The stock that a count finds.
    pub(crate) count: Range<i64>,
}

/// A kind of [`Step`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Request,
    Adjust,
    Count,
    Price,
    Credit,
    OnHold,
    Cancel,
    Refund,
    Fulfil,
    Finish,
    Pay,
    Process,
    Decline,
    Withdraw,
    Settle,
    SendEvent,
    Pass,
    Sweep,
    Work,
}

/// A kind of [`Request`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Command {
    Buy,
    Checkout,
    Reserve,
    Confirm,
    ConfirmByCard,
    GiveUp,
}

impl StepWeights {
    pub(crate) fn step(&self, model: &Model, dice: &mut StdRng) -> Step {
        let kind = self.steps.choose_weighted(dice, |(weight, _)| *weight);
        let step = self.of_kind(kind.unwrap().1, model, dice);
        // Commands take the place of what there is nothing for yet, such as a payment.
        step.unwrap_or_else(|| {
            let count = *self.at_once.choose(dice).unwrap();
            Step::Requests(self.requests(model, dice, count))
        })
    }

    fn of_kind(&self, kind: Kind, model: &Model, dice: &mut StdRng) -> Option<Step> {
        let product = dice.random_range(0..model.products.len());
        let who = dice.random_range(0..model.customers.len());
        // Prefers the last twelve orders and events.
        let order = recent(dice, model.orders.len(), 12);
        let step = match kind {
            Kind::Request => return None,
            Kind::Adjust => match dice.random_range(self.adjust.clone()) {
                0 => Step::Adjust(product, 1),
                by => Step::Adjust(product, by),
            },
            Kind::Count => Step::Count(product, dice.random_range(self.count.clone())),
            Kind::Price => {
                let price = model.products[product].price + dice.random_range(-150..200);
                Step::Change(Change::Price(product, price.max(0)))
            }
            Kind::Credit => {
                let limit = dice.random_range(0..100_000);
                Step::Change(Change::Credit(who, limit))
            }
            Kind::OnHold => {
                let is_stopped = dice.random_range(0..3) == 0;
                Step::Change(Change::OnHold(who, is_stopped))
            }
            Kind::Cancel => Step::Cancel(order?, model.someone(order?, dice)),
            Kind::Refund => model.some_refund(order?, dice),
            Kind::Fulfil => Step::Fulfil(order?),
            Kind::Finish if model.orders[order?].card.is_none() => return None,
            Kind::Finish => Step::Finish(order?),
            Kind::Pay => model.pay(order?, dice),
            Kind::Process => Step::Process(model.payable(order?, dice)),
            Kind::Decline => Step::Decline(model.payable(order?, dice)),
            Kind::Withdraw => Step::Withdraw(model.payable(order?, dice)),
            Kind::Settle => Step::Settle(dice.random_range(0..3) > 0),
            Kind::SendEvent => {
                model.some_event(recent(dice, model.provider_account.events.len(), 12)?, dice)
            }
            Kind::Pass => Step::Pass(TICK * dice.random_range(1..3)),
            Kind::Sweep => Step::Sweep,
            Kind::Work => Step::Work,
        };
        Some(step)
    }

    pub(crate) fn requests(&self, model: &Model, dice: &mut StdRng, count: usize) -> Vec<Request> {
        (0..count).map(|_| self.some_request(model, dice)).collect()
    }

    fn some_request(&self, model: &Model, dice: &mut StdRng) -> Request {
        let all = model.customers.len();
        // Sometimes the customer does not exist.
        let who = match dice.random_range(0..30) {
            0 => all,
            _ => dice.random_range(0..all),
        };
        let count = *self.lines.choose(dice).unwrap();
        let lines = (0..count).map(|_| self.line(model, dice)).collect();
        let ttl = *TTL.choose(dice).unwrap();
        let command = self.commands.choose_weighted(dice, |(weight, _)| *weight);
        let wait = dice.random_range(0..4) > 0;
        let known = recent(dice, model.holds.len(), 20);
        match (command.unwrap().1, known) {
            (Command::Buy, _) => Request::Buy(who, lines),
            (Command::Checkout, _) => Request::Checkout(who, lines, ttl),
            (Command::Confirm, Some(known)) => Request::Confirm(known),
            (Command::ConfirmByCard, Some(known)) => Request::ConfirmByCard(known, ttl),
            (Command::GiveUp, Some(known)) => Request::GiveUp(known),
            _ => Request::Reserve(who, lines, ttl, wait),
        }
    }

    fn line(&self, model: &Model, dice: &mut StdRng) -> Line {
        let product = dice.random_range(0..model.products.len());
        let price = model.products[product].price;
        let quoted = match dice.random_range(0..20) {
            0 => Some(price + 1),
            1..10 => Some(price),
            _ => None,
        };
        (product, dice.random_range(self.quantity.clone()), quoted)
    }
}

impl Model {
    pub(crate) fn is_processing(&self, at: usize) -> bool {
        let payment = self.provider_account.payments.get(&self.orders[at].id);
        matches!(payment, Some(PaymentState::Processing))
    }

    /// Prefers an event that was not sent yet.
    fn some_event(&self, otherwise: usize, dice: &mut StdRng) -> Step {
        let is_new = |index: &usize| !self.sent.get(*index).copied().unwrap_or(false);
        let new: Vec<usize> = (0..self.provider_account.events.len())
            .filter(is_new)
            .collect();
        let some = new.choose(dice).copied();
        let index = match dice.random_range(0..6) {
            0 => otherwise,
            1..4 => some.unwrap_or(otherwise),
            _ => new.last().copied().unwrap_or(otherwise),
        };
        let (order, _) = self.provider_account.events[index];
        let card = self.orders[self.find(order).unwrap()].card();
        match dice.random_range(0..12) {
            // Before the intent is known, an event about any intent could be the order's.
            0 if card.known => Step::SendForeignEvent(index, Foreign::Intent),
            1 => Step::SendForeignEvent(index, Foreign::Order),
            2 => Step::SendForeignEvent(index, Foreign::Provider),
            3..5 => Step::SendEvent(index, true),
            _ => Step::SendEvent(index, false),
        }
    }

    /// Prefers an order that can be paid, and often one whose intent the service does not know yet.
    fn payable(&self, otherwise: usize, dice: &mut StdRng) -> usize {
        let is_open = |at: &usize| {
            let payment = self.provider_account.payments.get(&self.orders[*at].id);
            matches!(payment, Some(PaymentState::Open | PaymentState::Processing))
        };
        let open: Vec<usize> = (0..self.orders.len()).filter(is_open).collect();
        let unknown = open.iter().filter(|at| !self.orders[**at].card().known);
        let unknown: Vec<usize> = unknown.copied().collect();
        let some = match unknown.choose(dice) {
            Some(unknown) if dice.random_range(0..3) > 0 => Some(unknown),
            _ => open.choose(dice),
        };
        some.copied().unwrap_or(otherwise)
    }

    fn pay(&self, at: usize, dice: &mut StdRng) -> Step {
        // Sometimes chooses an expired order, whose stock others may have taken.
        let is_late = |at: &usize| {
            let order = &self.orders[*at];
            let payment = self.provider_account.payments.get(&order.id);
            let has_time = order
                .card
                .as_ref()
                .is_none_or(|card| card.expires > self.now);
            !has_time && matches!(payment, Some(PaymentState::Open))
        };
        let late: Vec<usize> = (0..self.orders.len()).filter(is_late).collect();
        let at = match late.choose(dice) {
            Some(late) if dice.random_range(0..2) == 0 => *late,
            _ => self.payable(at, dice),
        };
        let total = self.orders[at].total;
        match dice.random_range(0..16) {
            0 => Step::Pay(at, total + 100, "USD"),
            1 => Step::Pay(at, total - 1, "USD"),
            2 => Step::Pay(at, total, "EUR"),
            _ => Step::Pay(at, total, "USD"),
        }
    }

    fn someone(&self, at: usize, dice: &mut StdRng) -> By {
        match dice.random_range(0..8) {
            0 => By::Customer(dice.random_range(0..self.customers.len())),
            1..3 => By::Customer(self.orders[at].customer),
            3..5 => By::Staff,
            _ => By::Admin,
        }
    }

    fn some_refund(&self, at: usize, dice: &mut StdRng) -> Step {
        // Prefers an order that was paid.
        let is_paid = |at: &usize| {
            let order = &self.orders[*at];
            order.card.as_ref().is_some_and(|card| card.paid > 0)
        };
        let paid: Vec<usize> = (0..self.orders.len()).filter(is_paid).collect();
        let at = match paid.choose(dice) {
            Some(paid) if dice.random_range(0..8) > 0 => *paid,
            _ => at,
        };
        let order = &self.orders[at];
        if dice.random_range(0..8) == 0
            && let Some(units) = self.by_hand(at, dice)
        {
            return Step::GiveByHand(at, units);
        }
        if dice.random_range(0..2) == 0
            && let Some(again) = self.again(dice)
        {
            return again;
        }
        let what = match dice.random_range(0..8) {
            0 => What::Rest,
            1 => What::Amount([0, order.total + 1][dice.random_range(0..2)]),
            2..4 => What::Amount(dice.random_range(1..=order.total.max(1))),
            4 => What::Items(vec![(dice.random_range(0..self.products.len()), 1)]),
            _ => {
                let count = dice.random_range(1..=order.items.len());
                let items = order.items[..count].iter();
                let items =
                    items.map(|(product, quantity)| (*product, dice.random_range(1..=*quantity)));
                What::Items(items.collect())
            }
        };
        Step::Refund(at, what, dice.random_range(0..2) == 0)
    }

    /// Repeats a failed refund, with or without a restock.
    fn again(&self, dice: &mut StdRng) -> Option<Step> {
        let orders = self.orders.iter().enumerate();
        let failed = orders.flat_map(|(at, order)| {
            let refunds = order.card.iter().flat_map(|card| &card.refunds);
            let failed = refunds.filter(|refund| refund.status == RefundStatus::Failed);
            failed.map(move |refund| (at, refund))
        });
        let failed: Vec<_> = failed.collect();
        let (at, refund) = failed.choose(dice)?;
        let what = match refund.items.as_slice() {
            [] => What::Amount(refund.amount),
            items => What::Items(items.to_vec()),
        };
        let restock = refund.restock || dice.random_range(0..2) == 0;
        Some(Step::Refund(*at, what, restock))
    }

    /// The amount that a person may refund at the provider. It is `None` while a refund of the service is open. That
    /// refund may not have reached the provider yet, which would then accept too large a manual refund.
    fn by_hand(&self, at: usize, dice: &mut StdRng) -> Option<i64> {
        let order = &self.orders[at];
        let card = order.card.as_ref()?;
        let is_over = |status| matches!(status, RefundStatus::Succeeded | RefundStatus::Failed);
        let is_quiet = card.refunds.iter().all(|refund| is_over(refund.status));
        let left = card.paid - card.refunded();
        if !is_quiet || left == 0 || order.status == Status::Created {
            return None;
        }
        Some(dice.random_range(1..=left))
    }
}

fn recent(dice: &mut StdRng, all: usize, last: usize) -> Option<usize> {
    all.checked_sub(1 + dice.random_range(0..all.clamp(1, last)))
}
