//! Random histories of orders by card against a model of plain lists: with a provider that loses answers, refuses and tells
//! what it likes when it likes, a clock that the test moves, and nothing that works in the background.

mod dice;
mod lists;
mod looks;
mod shop;
mod steps;
mod till;
mod together;

use std::collections::BTreeSet;
use std::fmt::Write;

use lists::TICK;
use rand::SeedableRng;
use rand::rngs::StdRng;
use shop::Shop;
use steps::Step;

#[tokio::test(flavor = "multi_thread")]
async fn orders_by_card_agree_with_a_plain_model_step_by_step() {
    for seed in seeds(7, 5) {
        agree(seed, 0, 160).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_by_card_agree_with_a_plain_model_whatever_the_provider_loses_or_refuses() {
    let (seeds, mut seen) = (seeds(20_261_128, 10), BTreeSet::new());
    let all = seeds.end - seeds.start;
    for seed in seeds {
        seen.extend(agree(seed, 45, 160).await);
    }
    // One history does not see everything.
    if all > 1 {
        let missing: Vec<&str> = ENDS
            .into_iter()
            .filter(|end| !seen.contains(*end))
            .collect();
        assert!(missing.is_empty(), "nobody has seen {missing:?}");
    }
}

/// Everything that can be the end of something.
const ENDS: [&str; 17] = [
    "intent cancelled",
    "intent mismatched",
    "intent refused",
    "intent succeeded",
    "order approved",
    "order cancelled",
    "order fulfilled",
    "order paid",
    "reason paid_too_late",
    "reason payment_cancelled",
    "reason payment_expired",
    "reason payment_refused",
    "reason requested",
    "reason stock_gone",
    "refund failed",
    "refund succeeded",
    "refund of nothing succeeded",
];

/// Plays a random history and compares after each step.
async fn agree(seed: u64, trouble: u32, steps: usize) -> BTreeSet<String> {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut shop = Shop::open(seed, trouble).await;
    for number in 0..steps {
        let step = shop.random_step(&mut dice);
        writeln!(shop.history, "{number}: {step:?}").unwrap();
        shop.perform(&step).await;
        shop.check().await;
        if number % 40 == 39 {
            shop.keep_the_laws().await;
        }
    }
    become_quiet(&mut shop).await;
    shop.keep_the_laws().await;
    shop.keep_the_last_laws().await;
    assert_eq!(shop.database.deadlocks().await, 0);
    shop.seen().await
}

/// The provider comes to terms and tells what it has not told, and the cashier asks until nothing is due.
async fn become_quiet(shop: &mut Shop) {
    shop.counter.look().trouble = 0;
    while !shop.lists.till.under_way().is_empty() {
        shop.perform(&Step::Settle(true)).await;
    }
    for at in 0..shop.lists.orders.len() {
        // What is being paid for is paid for, or is not.
        let total = lists::minor(shop.lists.orders[at].total);
        let step = match at % 2 {
            0 if shop.lists.is_processing(at) => Step::Pay(at, total, "USD"),
            _ => Step::Decline(at),
        };
        shop.perform(&step).await;
    }
    let mut rounds = 0;
    loop {
        for news in 0..shop.lists.till.news.len() {
            if !shop.told.get(news).copied().unwrap_or(false) {
                shop.perform(&Step::Tell(news, false)).await;
            }
        }
        writeln!(shop.history, "quiet").unwrap();
        shop.work().await;
        shop.check().await;
        let due = "SELECT (SELECT count(*) FROM payment_intents WHERE next_try_at IS NOT NULL)
                        + (SELECT count(*) FROM refunds WHERE next_try_at IS NOT NULL)";
        if shop.database.value(due).await == "0" {
            break;
        }
        shop.perform(&Step::Pass(2 * TICK)).await;
        rounds += 1;
        assert!(rounds < 30, "there is no end to it {}", shop.at());
    }
    shop.perform(&Step::Sweep).await;
    shop.check().await;
}

fn seeds(first: u64, count: u64) -> std::ops::Range<u64> {
    match std::env::var("TRADELINE_TEST_SEED") {
        Ok(seed) => {
            let seed = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) => first..first + count,
    }
}
