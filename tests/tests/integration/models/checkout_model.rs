//! These tests compare random histories of orders by card with the model of a shop. The provider loses responses,
//! rejects requests and sends events at any time.

use std::collections::BTreeSet;

use super::shop::concurrent::Crowd;
use super::shop::random_steps::{Command, Kind, StepWeights};
use super::shop::seeds;
use super::shop::service::{Opening, Shop};

const OPENING: Opening = Opening {
    // One customer has little credit, and one product has a limit per customer.
    credits: &[10_000_000, 10_000_000, 10_000_000, 2000],
    products: &[
        (100, 3, None),
        (200, 5, None),
        (300, 8, None),
        (400, 6, Some(4)),
    ],
};

fn weights() -> StepWeights {
    StepWeights {
        steps: vec![
            (14, Kind::Request),
            (3, Kind::Adjust),
            (1, Kind::Count),
            (1, Kind::Price),
            (1, Kind::Credit),
            (1, Kind::OnHold),
            (4, Kind::Cancel),
            (10, Kind::Refund),
            (2, Kind::Fulfil),
            (8, Kind::Finish),
            (12, Kind::Pay),
            (2, Kind::Process),
            (4, Kind::Decline),
            (2, Kind::Withdraw),
            (2, Kind::Settle),
            (14, Kind::SendEvent),
            (8, Kind::Pass),
            (2, Kind::Sweep),
            (12, Kind::Work),
        ],
        commands: &[
            (2, Command::Buy),
            (8, Command::Checkout),
            (4, Command::Reserve),
            (1, Command::Confirm),
            (4, Command::ConfirmByCard),
            (1, Command::GiveUp),
        ],
        at_once: &[1, 1, 1, 2, 4],
        lines: &[1, 1, 1, 2, 3],
        quantity: 1..4,
        adjust: -1..5,
        count: 0..9,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_by_card_agree_with_a_plain_model_step_by_step() {
    for seed in seeds(7, 5) {
        agree(seed, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_by_card_agree_with_a_plain_model_whatever_the_provider_loses_or_refuses() {
    let (seeds, mut seen) = (seeds(20_261_128, 10), BTreeSet::new());
    let all = seeds.end - seeds.start;
    for seed in seeds {
        seen.extend(agree(seed, 45).await);
    }
    // A single history does not reach every end.
    if all > 1 {
        let missing: Vec<&str> = ENDS
            .into_iter()
            .filter(|end| !seen.contains(*end))
            .collect();
        assert!(missing.is_empty(), "nobody has seen {missing:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_desks_payment_workers_and_retries_keep_all_invariants() {
    for seed in seeds(20_261_130, 2) {
        let mut shop = Shop::open(seed, &OPENING, 30).await;
        let crowd = Crowd {
            weights: weights(),
            commands: 8,
            actions: 6,
        };
        shop.keep_all_invariants(&crowd).await;
    }
}

/// Every final status of an intent, an order or a refund, and every reason of a cancellation.
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

/// Compares a random history with the model. Returns the ends that it has reached.
async fn agree(seed: u64, trouble: u32) -> BTreeSet<String> {
    let mut shop = Shop::open(seed, &OPENING, trouble).await;
    shop.agree(&weights(), 160).await;
    shop.settle_everything().await;
    shop.end().await;
    shop.keep_the_last_laws().await;
    shop.seen().await
}
