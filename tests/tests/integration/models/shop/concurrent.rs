//! This module runs many concurrent actions on a few products and orders. Their order is unknown, so it checks only the
//! invariants.

use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;

use domain::cancellation;
use domain::card;
use domain::card::refunds;
use domain::desk::{Command, Desk};
use domain::stock::inventory::Correction;
use domain::stock::reservations;
use domain::{Authority, Error, demo, orders};
use entity::OrderId;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tests::clerk::unkeyed;

use super::DUE;
use super::model::TICK;
use super::provider::{ProviderAccount, received};
use super::random_steps::StepWeights;
use super::service::{Made, Shop, caller, event, made, money, refund_of};
use super::steps::{outcome, sweep};

/// An action in progress; its result is the error, if it was rejected.
type Act<'a> = Pin<Box<dyn Future<Output = Option<Error>> + Send + 'a>>;

/// The commands of a round, sent at the same time.
#[derive(Debug)]
pub(crate) struct Crowd {
    pub(crate) weights: StepWeights,
    /// The number of commands, half of which go to each desk.
    pub(crate) commands: usize,
    /// The number of other actions about orders by card.
    pub(crate) actions: usize,
}

impl Shop {
    /// Runs 40 rounds of two desks, two sweepers and two payment workers on one database, then stops the faults.
    /// Returns how often stock was allocated to a waitlist.
    pub(crate) async fn keep_all_invariants(&mut self, crowd: &Crowd) -> usize {
        let mut dice = StdRng::seed_from_u64(self.seed);
        let (pool, desk) = Self::another(&self.database);
        for round in 0..40 {
            write!(self.history, "{round}: ").unwrap();
            self.round(crowd, &mut dice, (&pool, &desk)).await;
            if round % 2 == 1 {
                self.keep_the_laws().await;
            }
            self.between(&mut dice).await;
        }
        self.stop_faults().await;
        self.keep_the_laws().await;
        self.keep_the_last_laws().await;
        pool.close().await;
        assert_eq!(self.database.deadlocks().await, 0);
        self.allocated_in_order().await
    }

    async fn round(
        &mut self,
        crowd: &Crowd,
        dice: &mut StdRng,
        (pool, desk): (&domain::Database, &Arc<Desk>),
    ) {
        let requests = crowd.weights.requests(&self.model, dice, crowd.commands);
        writeln!(self.history, "{requests:?}").unwrap();
        let known = self.newest().await;
        let half = requests.len() / 2;
        let (here, there) = (
            self.commands(&requests[..half]),
            self.commands(&requests[half..]),
        );
        let mut acts: Vec<Act<'_>> = Vec::new();
        for at in [&self.pool, pool] {
            let provider = &self.provider;
            acts.push(act(
                async move { card::work(at, provider, demo::ACME).await },
            ));
            acts.push(act(
                async move { reservations::sweep(at, demo::ACME).await },
            ));
        }
        for _ in 0..crowd.actions {
            acts.extend(at_random(self, pool, &known, dice));
        }
        let (one, two, errors) =
            tokio::join!(serve(&self.desk, here), serve(desk, there), join_all(acts));
        for error in errors.into_iter().flatten() {
            self.refusal(&error);
        }
        for (request, answer) in requests.iter().zip(one.into_iter().chain(two)) {
            match answer {
                // Only to have something to confirm and to give up.
                Ok(made) => made
                    .hold
                    .into_iter()
                    .for_each(|id| self.model.note(request, id)),
                Err(error) => drop(self.refusal(&error)),
            }
        }
    }

    /// Ids of the ten newest orders by card.
    async fn newest(&self) -> Vec<OrderId> {
        let last = "SELECT order_id FROM payment_intents ORDER BY order_id DESC LIMIT 10";
        let rows = self.rows(last).await;
        let ids = rows.iter().map(|row| row["order_id"].as_str().unwrap());
        ids.map(|id| id.parse().unwrap()).collect()
    }

    /// Buyers pay, stock is received, and time passes.
    async fn between(&self, dice: &mut StdRng) {
        {
            let provider_account = &mut self.provider.lock().provider_account;
            let ids: Vec<OrderId> = provider_account.payments.keys().copied().collect();
            for id in ids.iter().rev().take(8) {
                let total = provider_account.requested(*id);
                match dice.random_range(0..8) {
                    0..3 => drop(provider_account.pay(*id, &received(total, "USD"))),
                    3 if dice.random_range(0..4) == 0 => {
                        provider_account.pay(*id, &received(total + 1, "USD"));
                    }
                    4 => provider_account.decline(*id),
                    5 => provider_account.withdraw(*id),
                    _ => {}
                }
            }
            settle(provider_account, dice.random_range(0..3) > 0);
        }
        match dice.random_range(0..4) {
            0 => self.pass(TICK).await,
            1 => {
                let product = dice.random_range(0..self.model.products.len());
                let by = Correction::Adjust(dice.random_range(1..5));
                self.correct(product, by).await.unwrap();
            }
            _ => {}
        }
        // The payment worker leaves new orders to their request for a while; this ends that time.
        let sooner = "UPDATE payment_intents SET next_try_at = now()
                       WHERE status = 'requested' AND next_try_at IS NOT NULL";
        self.execute(sooner).await;
    }

    /// Stops the provider's faults, sends all remaining events, and runs the payment worker until nothing is due.
    async fn stop_faults(&self) {
        self.provider.lock().trouble = 0;
        let mut rounds = 0;
        loop {
            settle(&mut self.provider.lock().provider_account, true);
            let events = self.provider.lock().provider_account.events.clone();
            for (number, (order, event_kind)) in events.into_iter().enumerate() {
                let event = event(order, event_kind, format!("evt_{number}"));
                card::receive(&self.pool, &self.provider, &event)
                    .await
                    .unwrap();
            }
            card::work(&self.pool, &self.provider, demo::ACME)
                .await
                .unwrap();
            if self.rows(DUE).await[0]["count"] == 0 {
                break;
            }
            self.pass(2 * TICK).await;
            rounds += 1;
            assert!(
                rounds < 30,
                "the payment worker still has work {}",
                self.at()
            );
        }
        sweep(&self.pool).await;
    }
}

async fn serve(desk: &Arc<Desk>, commands: Vec<Command>) -> Vec<Result<Made, Error>> {
    let commands = commands.into_iter();
    let answers = join_all(commands.map(|command| desk.execute(command))).await;
    answers.into_iter().map(|answer| answer.map(made)).collect()
}

fn settle(provider_account: &mut ProviderAccount, well: bool) {
    for id in provider_account.under_way() {
        provider_account.settle(id, outcome(well));
    }
}

fn act<'a, T>(future: impl Future<Output = Result<T, Error>> + Send + 'a) -> Act<'a> {
    Box::pin(async move { future.await.err() })
}

/// A random action that two or three callers execute at the same time.
fn at_random<'a>(
    shop: &'a Shop,
    other: &'a domain::Database,
    known: &[OrderId],
    dice: &mut StdRng,
) -> Vec<Act<'a>> {
    let Some(id) = known.choose(dice).copied() else {
        return Vec::new();
    };
    let pools = [&shop.pool, other];
    let twice = |make: &dyn Fn(&'a domain::Database) -> Act<'a>| pools.map(make).into();
    match dice.random_range(0..12) {
        0..4 => {
            twice(&|at| act(async move { card::finish(at, &shop.provider, demo::ACME, id).await }))
        }
        4..8 => send_event_to_both(shop, other, dice),
        8 => {
            let who = [Authority::Staff, Authority::Admin];
            let who = *who.choose(dice).unwrap();
            twice(&|at| {
                act(async move {
                    let caller = caller(who);
                    cancellation::cancel(at, &unkeyed(&caller), id).await
                })
            })
        }
        9 | 10 => {
            let amounts = [100, 200, 300].map(money);
            let amount = *amounts.choose(dice).unwrap();
            let whole = dice.random_range(0..3) == 0;
            twice(&|at| {
                act(async move {
                    let what = if whole {
                        refunds::What::Rest
                    } else {
                        refunds::What::Amount(amount)
                    };
                    let (admin, new) = (caller(Authority::Admin), refund_of(what));
                    refunds::request(at, &unkeyed(&admin), id, &new).await
                })
            })
        }
        _ => twice(&|at| {
            act(async move {
                let staff = caller(Authority::Staff);
                let sent = orders::Fulfilment::default();
                orders::fulfil(at, &unkeyed(&staff), id, sent).await
            })
        }),
    }
}

/// The same event for both instances, and once more under another event id.
fn send_event_to_both<'a>(
    shop: &'a Shop,
    other: &'a domain::Database,
    dice: &mut StdRng,
) -> Vec<Act<'a>> {
    let inner = shop.provider.lock();
    let all = inner.provider_account.events.len();
    let Some(index) = all.checked_sub(1 + dice.random_range(0..all.clamp(1, 10))) else {
        return Vec::new();
    };
    let (order, event_kind) = inner.provider_account.events[index].clone();
    let number: u64 = dice.random();
    let ids = [
        (&shop.pool, format!("evt_{index}")),
        (other, format!("evt_{index}")),
        (other, format!("evt_{index}_{number}")),
    ];
    let acts = ids.map(|(at, id)| {
        let event = event(order, event_kind.clone(), id);
        act(async move { card::receive(at, &shop.provider, &event).await })
    });
    acts.into()
}
