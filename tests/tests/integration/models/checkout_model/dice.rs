//! What happens next.

use entity::orders::Status;
use entity::refunds::Status as RefundStatus;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::lists::{Ask, By, Lists, TICK, What, minor};
use super::shop::Shop;
use super::steps::{Amiss, Step};
use super::till::Stands;

const TTL: [i64; 4] = [300, 900, 1500, 2100];

impl Shop {
    pub(super) fn random_step(&self, dice: &mut StdRng) -> Step {
        let lists = &self.lists;
        // Mostly one of the last.
        let order = recent(dice, lists.orders.len(), 12);
        let news = recent(dice, lists.till.news.len(), 12);
        match (dice.random_range(0..100), order, news) {
            (0..4, ..) => Step::Goods(dice.random_range(0..4), dice.random_range(1..4)),
            (4..12, ..) => Step::Pass(TICK * dice.random_range(1..3)),
            (12..14, ..) => Step::Sweep,
            (14..26, ..) => Step::Work,
            (26..34, Some(at), _) if lists.orders[at].card.is_some() => Step::Finish(at),
            (34..46, Some(at), _) => lists.pay(at, dice),
            (46..48, Some(at), _) => Step::Process(lists.payable(at, dice)),
            (48..52, Some(at), _) => Step::Decline(lists.payable(at, dice)),
            (52..54, Some(at), _) => Step::Withdraw(lists.payable(at, dice)),
            (54..56, ..) => Step::Settle(dice.random_range(0..3) > 0),
            (56..70, _, Some(news)) => self.tell_some(news, dice),
            (70..74, Some(at), _) => Step::Cancel(at, lists.someone(at, dice)),
            (74..84, Some(at), _) => lists.some_refund(at, dice),
            (84..86, Some(at), _) => Step::Fulfil(at),
            _ => {
                let count = [1, 1, 1, 2, 4][dice.random_range(0..5)];
                Step::Ask((0..count).map(|_| lists.some_ask(dice)).collect())
            }
        }
    }

    /// Mostly what was not told yet.
    fn tell_some(&self, otherwise: usize, dice: &mut StdRng) -> Step {
        let is_new = |news: &usize| !self.told.get(*news).copied().unwrap_or(false);
        let new: Vec<usize> = (0..self.lists.till.news.len()).filter(is_new).collect();
        let some = new.choose(dice).copied();
        let news = match dice.random_range(0..6) {
            0 => otherwise,
            1..4 => some.unwrap_or(otherwise),
            _ => new.last().copied().unwrap_or(otherwise),
        };
        let (order, _) = self.lists.till.news[news];
        let card = self.lists.orders[self.lists.find(order).unwrap()].card();
        match dice.random_range(0..12) {
            // Before it is known, any intent may turn out to be the order's.
            0 if card.known => Step::TellAmiss(news, Amiss::Intent),
            1 => Step::TellAmiss(news, Amiss::Order),
            2 => Step::TellAmiss(news, Amiss::Provider),
            3..5 => Step::Tell(news, true),
            _ => Step::Tell(news, false),
        }
    }
}

impl Lists {
    pub(super) fn is_processing(&self, at: usize) -> bool {
        let stands = self.till.payments.get(&self.orders[at].id);
        matches!(stands, Some(Stands::Processing))
    }

    pub(super) fn some_ask(&self, dice: &mut StdRng) -> Ask {
        let who = dice.random_range(0..self.customers.len());
        let lines = (0..[1, 1, 1, 2, 3][dice.random_range(0..5)]).map(|_| {
            let product = dice.random_range(0..self.products.len());
            (product, dice.random_range(1..4))
        });
        let lines: Vec<_> = lines.collect();
        let ttl = *TTL.choose(dice).unwrap();
        let known = recent(dice, self.holds.len(), 12);
        match (dice.random_range(0..20), known) {
            (0..2, _) => Ask::Buy(who, lines),
            (2, Some(known)) => Ask::Confirm(known),
            (3..7, Some(known)) => Ask::ConfirmByCard(known, ttl),
            (7, Some(known)) => Ask::GiveUp(known),
            (8..12, _) => Ask::Reserve(who, lines, ttl, dice.random_range(0..2) > 0),
            _ => Ask::Checkout(who, lines, ttl),
        }
    }

    /// Mostly one that can be paid, and often one of which that is not known here.
    fn payable(&self, otherwise: usize, dice: &mut StdRng) -> usize {
        let is_open = |at: &usize| {
            let stands = self.till.payments.get(&self.orders[*at].id);
            matches!(stands, Some(Stands::Open | Stands::Processing))
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
        // Now and then when its time is over, and others have what was held for it.
        let is_late = |at: &usize| {
            let order = &self.orders[*at];
            let stands = self.till.payments.get(&order.id);
            let has_time = order
                .card
                .as_ref()
                .is_none_or(|card| card.expires > self.now);
            !has_time && matches!(stands, Some(Stands::Open))
        };
        let late: Vec<usize> = (0..self.orders.len()).filter(is_late).collect();
        let at = match late.choose(dice) {
            Some(late) if dice.random_range(0..2) == 0 => *late,
            _ => self.payable(at, dice),
        };
        let total = minor(self.orders[at].total);
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
        // Mostly of one that was paid.
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
            1..3 => What::Amount(dice.random_range(0..=order.total)),
            3 => What::Amount(order.total + 1),
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

    /// What has failed once, with its goods back on the shelf or not.
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

    /// How much somebody may give back at the provider, while none of our refunds is open: one that is open has not reached
    /// the provider, perhaps, which would let more be given back by hand than there is.
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
