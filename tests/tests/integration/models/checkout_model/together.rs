//! This test runs many concurrent actions on a few products and orders. Their order is unknown, so it checks only the
//! invariants.

use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;

use domain::cancellation;
use domain::card;
use domain::card::refunds;
use domain::desk::{Command, Desk};
use domain::stock::reservations;
use domain::{Authority, Error, demo, orders};
use entity::OrderId;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::lists::TICK;
use super::shop::{Shop, caller, event, money, wish, words};
use super::steps::outcome;
use super::till::{Till, received};
use tests::clerk::unkeyed;

/// An action in progress; its result is the error, if it was rejected.
type Act<'a> = Pin<Box<dyn Future<Output = Option<Error>> + Send + 'a>>;

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_desks_payment_workers_and_retries_keep_all_invariants() {
    for seed in super::seeds(20_261_130, 2) {
        play(seed).await;
    }
}

async fn play(seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut shop = Shop::open(seed, 30).await;
    let (pool, desk) = Shop::another(&shop.database);
    for round in 0..40 {
        let asks: Vec<_> = (0..8).map(|_| shop.lists.some_ask(&mut dice)).collect();
        writeln!(shop.history, "{round}: {asks:?}").unwrap();
        let known = known(&shop).await;
        let (here, there) = (shop.commands(&asks[..4]), shop.commands(&asks[4..]));
        let mut acts: Vec<Act<'_>> = Vec::new();
        for at in [&shop.pool, &pool] {
            let counter = &shop.counter;
            acts.push(act(
                async move { card::work(at, counter, demo::ACME).await },
            ));
        }
        for _ in 0..6 {
            let twins = at_random(&shop, &pool, &known, &mut dice);
            acts.extend(twins);
        }
        let (one, two, refusals) =
            tokio::join!(serve(&shop.desk, here), serve(&desk, there), join_all(acts),);
        for refusal in refusals.into_iter().flatten() {
            shop.refusal(&refusal);
        }
        for (ask, answer) in asks.iter().zip(one.into_iter().chain(two)) {
            match answer {
                Ok(body) => {
                    if let Ok(id) = body.split(' ').next().unwrap().parse() {
                        shop.lists.note(ask, id);
                    }
                }
                Err(error) => drop(shop.refusal(&error)),
            }
        }
        between(&shop, &mut dice).await;
        if round % 4 == 3 {
            // If the first position on a waitlist has expired, the next command or the sweeper allocates the stock.
            // Neither may have run yet.
            reservations::sweep(&shop.pool, demo::ACME).await.unwrap();
            shop.keep_the_laws().await;
        }
    }
    become_quiet(&shop).await;
    shop.keep_the_laws().await;
    shop.keep_the_last_laws().await;
    pool.close().await;
    assert_eq!(shop.database.deadlocks().await, 0);
}

async fn serve(desk: &Arc<Desk>, commands: Vec<Command>) -> Vec<Result<String, Error>> {
    let commands = commands.into_iter();
    let answers = join_all(commands.map(|command| desk.execute(command))).await;
    let bodies = answers.into_iter();
    bodies.map(|answer| answer.map(words)).collect()
}

fn act<'a, T>(future: impl Future<Output = Result<T, Error>> + Send + 'a) -> Act<'a> {
    Box::pin(async move { future.await.err() })
}

/// Ids of the ten newest orders by card.
async fn known(shop: &Shop) -> Vec<OrderId> {
    let last = "SELECT order_id FROM payment_intents ORDER BY order_id DESC LIMIT 10";
    let ids = shop.database.column(last).await;
    ids.iter().map(|id| id.parse().unwrap()).collect()
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
    let places = [&shop.pool, other];
    let twice = |make: &dyn Fn(&'a domain::Database) -> Act<'a>| places.map(make).into();
    match dice.random_range(0..12) {
        0..4 => {
            twice(&|at| act(async move { card::finish(at, &shop.counter, demo::ACME, id).await }))
        }
        4..8 => tell(shop, other, dice),
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
            let amounts = [1, 2, 3].map(money);
            let amount = *amounts.choose(dice).unwrap();
            let whole = dice.random_range(0..3) == 0;
            twice(&|at| {
                act(async move {
                    let what = if whole {
                        refunds::What::Rest
                    } else {
                        refunds::What::Amount(amount)
                    };
                    let (admin, wish) = (caller(Authority::Admin), wish(what));
                    refunds::request(at, &unkeyed(&admin), id, &wish).await
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
fn tell<'a>(shop: &'a Shop, other: &'a domain::Database, dice: &mut StdRng) -> Vec<Act<'a>> {
    let inner = shop.counter.look();
    let all = inner.till.news.len();
    let Some(news) = all.checked_sub(1 + dice.random_range(0..all.clamp(1, 10))) else {
        return Vec::new();
    };
    let (order, told) = inner.till.news[news].clone();
    let number: u64 = dice.random();
    let ids = [
        (&shop.pool, format!("evt_{news}")),
        (other, format!("evt_{news}")),
        (other, format!("evt_{news}_{number}")),
    ];
    let acts = ids.map(|(at, id)| {
        let event = event(order, told.clone(), id);
        act(async move { card::receive(at, &shop.counter, &event).await })
    });
    acts.into()
}

/// Buyers pay, stock is received, and time passes.
async fn between(shop: &Shop, dice: &mut StdRng) {
    {
        let till = &mut shop.counter.look().till;
        let ids: Vec<OrderId> = till.payments.keys().copied().collect();
        for id in ids.iter().rev().take(8) {
            let total = till.asked_for(*id);
            match dice.random_range(0..8) {
                0..3 => drop(till.pay(*id, &received(total, "USD"))),
                3 if dice.random_range(0..4) == 0 => {
                    till.pay(*id, &received(total + 1, "USD"));
                }
                4 => till.decline(*id),
                5 => till.withdraw(*id),
                _ => {}
            }
        }
        settle(till, dice.random_range(0..3) > 0);
    }
    match dice.random_range(0..4) {
        0 => shop.pass(TICK).await,
        1 => {
            let product = shop.lists.products.choose(dice).unwrap().id;
            shop.goods(product, dice.random_range(1..4)).await;
        }
        _ => {}
    }
    // The payment worker leaves new orders to their request for a while; this ends that time.
    let sooner = "UPDATE payment_intents SET next_try_at = now()
                   WHERE status = 'requested' AND next_try_at IS NOT NULL";
    shop.database.execute(sooner).await;
}

fn settle(till: &mut Till, well: bool) {
    for id in till.under_way() {
        till.settle(id, outcome(well));
    }
}

/// Stops the provider's faults, sends all remaining events, and runs the payment worker until nothing is due.
async fn become_quiet(shop: &Shop) {
    shop.counter.look().trouble = 0;
    let mut rounds = 0;
    loop {
        settle(&mut shop.counter.look().till, true);
        let news = shop.counter.look().till.news.clone();
        for (number, (order, told)) in news.into_iter().enumerate() {
            let event = event(order, told, format!("evt_{number}"));
            card::receive(&shop.pool, &shop.counter, &event)
                .await
                .unwrap();
        }
        card::work(&shop.pool, &shop.counter, demo::ACME)
            .await
            .unwrap();
        let due = "SELECT (SELECT count(*) FROM payment_intents WHERE next_try_at IS NOT NULL)
                        + (SELECT count(*) FROM refunds WHERE next_try_at IS NOT NULL)";
        if shop.database.value(due).await == "0" {
            break;
        }
        shop.pass(2 * TICK).await;
        rounds += 1;
        assert!(rounds < 30, "there is no end to it {}", shop.at());
    }
    reservations::sweep(&shop.pool, demo::ACME).await.unwrap();
}
