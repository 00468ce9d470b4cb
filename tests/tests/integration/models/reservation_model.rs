//! These tests compare random histories of reservations, waitlists, sales, orders by card and corrections with the model
//! of a shop. No sweeper runs in the background: the desk releases and allocates stock itself.

use std::sync::Arc;

use domain::Authority;
use domain::receivables::credit_notes::{self, NewCreditNote, What};
use entity::Quantity;
use tests::clerk::unkeyed;
use tests::until;

use super::shop::concurrent::Crowd;
use super::shop::model::{Request, TICK};
use super::shop::random_steps::{Command, Kind, StepWeights};
use super::shop::seeds;
use super::shop::service::{Opening, Shop, caller};
use super::shop::steps::{Step, sweep};

const OPENING: Opening = Opening {
    // One customer has little credit, and one product has a limit per customer.
    credits: &[10_000_000, 10_000_000, 10_000_000, 10_000_000, 1200],
    products: &[
        (100, 2, None),
        (100, 5, None),
        (100, 8, None),
        (100, 6, Some(4)),
    ],
};

/// Histories in which a sweeper runs with this weight.
fn weights(sweeps: u32) -> StepWeights {
    StepWeights {
        steps: vec![
            (72, Kind::Request),
            (6, Kind::Adjust),
            (3, Kind::Count),
            (1, Kind::Price),
            (1, Kind::Credit),
            (1, Kind::OnHold),
            (6, Kind::Cancel),
            (6, Kind::Pass),
            (sweeps, Kind::Sweep),
        ],
        commands: &[
            (2, Command::Buy),
            (1, Command::Checkout),
            (4, Command::Reserve),
            (2, Command::Confirm),
            (1, Command::ConfirmByCard),
            (2, Command::GiveUp),
        ],
        at_once: &[1],
        lines: &[1, 1, 1, 2, 3],
        quantity: 1..4,
        adjust: -3..5,
        count: 0..9,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_at_a_time_agrees_with_a_plain_model_whether_or_not_anything_sweeps() {
    for (first, sweeps) in [(20_261_121, 0), (20_261_122, 7)] {
        for seed in seeds(first, 1) {
            let mut shop = Shop::open(seed, &OPENING, 0).await;
            shop.agree(&weights(sweeps), 250).await;
            assert!(shop.end().await > 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bursts_are_carried_out_in_the_order_of_their_arrival_whether_or_not_anything_sweeps() {
    let bursts = StepWeights {
        at_once: &[1, 4, 8, 11, 15, 18, 21, 24],
        ..weights(0)
    };
    for (first, is_swept) in [(55, false), (56, true)] {
        for seed in seeds(first, 1) {
            let mut shop = Shop::open(seed, &OPENING, 0).await;
            shop.is_swept = is_swept;
            shop.agree(&bursts, 60).await;
            assert!(shop.end().await > 0);
        }
    }
}

/// The number of positions that the desk reads is bounded by the stock that may be released. Positions cancelled in the
/// same batch must not count towards it.
#[tokio::test(flavor = "multi_thread")]
async fn cancelled_positions_do_not_delay_the_next_position_in_the_batch() {
    let mut shop = Shop::open(0, &OPENING, 0).await;
    let reserve = |who: usize| Request::Reserve(who, vec![(0, 2, None)], 300, true);
    // One customer holds both units, and three are on the waitlist.
    for who in 0..4 {
        shop.send(&[reserve(who)]).await;
    }
    let requests = [
        Request::GiveUp(1),
        Request::GiveUp(2),
        reserve(4),
        Request::GiveUp(0),
    ];
    send_in_one_batch(&mut shop, &requests).await;
    shop.check().await;
    shop.keep_the_laws().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reserves_and_buys_in_the_same_batch_costs_nobody_a_transaction_of_their_own() {
    let mut shop = Shop::open(0, &OPENING, 0).await;
    let one = vec![(0, 1, None)];
    let requests = [
        Request::Reserve(0, one.clone(), 300, false),
        Request::Buy(0, one.clone()),
        Request::Reserve(1, one, 300, false),
    ];
    send_in_one_batch(&mut shop, &requests).await;
    shop.check().await;
    let transactions = "SELECT count(DISTINCT xmin::text) FROM stock_movements WHERE reserved <> 0";
    assert_eq!(shop.database.value(transactions).await, "1");
    shop.keep_the_laws().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_is_undone_although_nobody_has_freed_yet_what_had_expired() {
    let mut shop = Shop::open(0, &OPENING, 0).await;
    shop.send(&[Request::Buy(0, vec![(0, 1, None)])]).await;
    let product = shop.model.products[0].id;
    let returned = NewCreditNote {
        order_id: shop.model.orders[0].id,
        credited: What::Items {
            items: vec![(product, Quantity::new(1).unwrap())],
            restock: true,
        },
        reason: "scratched".to_owned(),
    };
    let caller = caller(Authority::Staff);
    let write = unkeyed(&caller);
    let note = credit_notes::create(&shop.pool, &write, &returned).await;
    let note = note.unwrap().value().unwrap().document.note.id;
    shop.model.products[0].on_hand += 1;
    let all = Request::Reserve(1, vec![(0, 2, None)], 300, false);
    shop.send(&[all]).await;
    shop.perform(&Step::Pass(TICK)).await;
    credit_notes::reverse(&shop.pool, &write, note, "not ours")
        .await
        .unwrap();
    shop.model.touch(0);
    shop.model.products[0].on_hand -= 1;
    shop.check().await;
    shop.keep_the_laws().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_waits_for_nobody_and_calls_nothing_expired_that_is_held_still() {
    let mut shop = Shop::open(0, &OPENING, 0).await;
    let both = Request::Reserve(0, vec![(0, 2, None), (1, 2, None)], 300, false);
    shop.send(&[both]).await;
    shop.perform(&Step::Pass(TICK)).await;
    let [first, second] = [0, 1].map(|at| shop.model.products[at].id);
    let row = format!("SELECT FROM inventory WHERE product_id = '{first}' FOR UPDATE");
    let held = shop.database.hold(&row).await;
    sweep(&shop.pool).await;
    let found = format!(
        "SELECT status, (SELECT reserved FROM inventory WHERE product_id = '{first}'),
                (SELECT reserved FROM inventory WHERE product_id = '{second}') FROM reservations"
    );
    assert_eq!(shop.database.value(&found).await, "active,2,0");
    shop.keep_the_laws().await;
    held.release().await;
    sweep(&shop.pool).await;
    assert_eq!(shop.database.value(&found).await, "expired,0,0");
    shop.keep_the_laws().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_desks_and_two_sweepers_on_one_database_keep_every_law_and_allocate_waitlists_in_order()
{
    for seed in seeds(20_261_123, 1) {
        let mut shop = Shop::open(seed, &OPENING, 0).await;
        let crowd = Crowd {
            weights: weights(0),
            commands: 30,
            actions: 0,
        };
        assert!(shop.keep_all_invariants(&crowd).await > 0);
    }
}

/// Sends all commands in one batch: they queue while another command waits for the first product.
async fn send_in_one_batch(shop: &mut Shop, requests: &[Request]) {
    let product = shop.model.products[0].id;
    let row = format!("SELECT FROM inventory WHERE product_id = '{product}' FOR UPDATE");
    let held = shop.database.hold(&row).await;
    let database = shop.database.clone();
    // The command requests more than is on hand and is therefore rejected.
    let none = Request::Reserve(4, vec![(0, 100, None)], 300, false);
    let (desk, first) = (Arc::clone(&shop.desk), shop.commands(&[none]).remove(0));
    let first = tokio::spawn(async move { desk.execute(first).await });
    until("the first waits", async || database.blocked().await == 1).await;
    let release = async {
        // The commands are queued, because they were polled before this.
        held.release().await;
    };
    tokio::join!(shop.send(requests), release);
    assert!(first.await.unwrap().is_err());
}
