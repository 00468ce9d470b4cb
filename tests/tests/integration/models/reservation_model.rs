//! These tests compare random histories of reservations, waitlists, sales, orders by card and corrections with a model
//! of plain lists. The test moves the clock, and no sweeper runs in the background: the desk releases and allocates
//! stock itself.

mod lists;
mod shop;

use std::fmt::Write;

use domain::desk::Executed;
use domain::receivables::credit_notes::{self, NewCreditNote, What};
use domain::stock::inventory::Correction;
use entity::Quantity;
use futures_util::future::join_all;
use lists::Ask;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use shop::{Shop, Sweeps, TICK, caller, sweep};
use tests::clerk::unkeyed;

#[tokio::test(flavor = "multi_thread")]
async fn one_command_at_a_time_agrees_with_a_plain_model_whether_or_not_anything_sweeps() {
    let seed = seed(20_261_121);
    for (number, sweeps) in [Sweeps::Never, Sweeps::Sometimes].into_iter().enumerate() {
        agree(seed + number as u64, sweeps, 1, 250).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bursts_are_carried_out_in_the_order_of_their_arrival_whether_or_not_anything_sweeps() {
    let seed = seed(55);
    for (number, sweeps) in [Sweeps::Never, Sweeps::Always].into_iter().enumerate() {
        agree(seed + number as u64, sweeps, 24, 60).await;
    }
}

/// The number of positions that the desk reads is bounded by the stock that may be released. Positions cancelled in the
/// same batch must not count towards it.
#[tokio::test(flavor = "multi_thread")]
async fn cancelled_positions_do_not_delay_the_next_position_in_the_batch() {
    let mut shop = Shop::open().await;
    let reserve = |who: usize| Ask::Reserve(who, vec![(0, 2)], 300, true);
    // One customer holds both units, and three are on the waitlist.
    for who in 0..4 {
        shop.ask(&[reserve(who)], Sweeps::Never, 0).await;
    }
    let asks = [Ask::Cancel(1), Ask::Cancel(2), reserve(4), Ask::Cancel(0)];
    shop.ask_in_one_batch(&asks).await;
    shop.check("a burst", 0).await;
    shop.keep_the_laws("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reserves_and_buys_in_the_same_batch_costs_nobody_a_transaction_of_their_own() {
    let mut shop = Shop::open().await;
    let one = vec![(0, 1)];
    let asks = [
        Ask::Reserve(0, one.clone(), 300, false),
        Ask::Buy(0, one.clone()),
        Ask::Reserve(1, one, 300, false),
    ];
    shop.ask_in_one_batch(&asks).await;
    shop.check("a burst", 0).await;
    let transactions = "SELECT count(DISTINCT xmin::text) FROM stock_movements WHERE reserved <> 0";
    assert_eq!(shop.database.value(transactions).await, "1");
    shop.keep_the_laws("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_is_undone_although_nobody_has_freed_yet_what_had_expired() {
    let mut shop = Shop::open().await;
    shop.ask(&[Ask::Buy(0, vec![(0, 1)])], Sweeps::Never, 0)
        .await;
    let product = shop.lists.products[0].id;
    let returned = NewCreditNote {
        order_id: shop.lists.orders[0].id,
        credited: What::Items {
            items: vec![(product, Quantity::new(1).unwrap())],
            restock: true,
        },
        reason: "scratched".to_owned(),
    };
    let caller = caller();
    let write = unkeyed(&caller);
    let note = credit_notes::create(&shop.pool, &write, &returned).await;
    let note = note.unwrap().value().unwrap().document.note.id;
    shop.lists.products[0].on_hand += 1;
    let all = Ask::Reserve(1, vec![(0, 2)], 300, false);
    shop.ask(&[all], Sweeps::Never, 0).await;
    shop.pass(TICK).await;
    credit_notes::reverse(&shop.pool, &write, note, "not ours")
        .await
        .unwrap();
    shop.lists.touch(0);
    shop.lists.products[0].on_hand -= 1;
    shop.check("the return is undone", 0).await;
    shop.keep_the_laws("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_waits_for_nobody_and_calls_nothing_expired_that_is_held_still() {
    let mut shop = Shop::open().await;
    let both = Ask::Reserve(0, vec![(0, 2), (1, 2)], 300, false);
    shop.ask(&[both], Sweeps::Never, 0).await;
    shop.pass(TICK).await;
    let [first, second] = [0, 1].map(|at| shop.lists.products[at].id);
    let row = format!("SELECT FROM inventory WHERE product_id = '{first}' FOR UPDATE");
    let held = shop.database.hold(&row).await;
    shop.sweep().await;
    let found = format!(
        "SELECT status, (SELECT reserved FROM inventory WHERE product_id = '{first}'),
                (SELECT reserved FROM inventory WHERE product_id = '{second}') FROM reservations"
    );
    assert_eq!(shop.database.value(&found).await, "active,2,0");
    shop.keep_the_laws("").await;
    held.release().await;
    shop.sweep().await;
    assert_eq!(shop.database.value(&found).await, "expired,0,0");
    shop.keep_the_laws("").await;
}

/// The order of two desks is unknown, so only the invariants are checked.
#[tokio::test(flavor = "multi_thread")]
async fn two_desks_and_two_sweepers_on_one_database_keep_every_law_and_serve_lines_in_their_order()
{
    let seed = seed(20_261_123);
    let mut dice = StdRng::seed_from_u64(seed);
    let mut shop = Shop::open().await;
    let other = Shop::another(&shop.database);
    for round in 0..40 {
        let asks = shop.asks(&mut dice, 30);
        let (here, there) = (shop.commands(&asks[..15]), shop.commands(&asks[15..]));
        let (one, two, ..) = tokio::join!(
            join_all(here.into_iter().map(|command| shop.desk.execute(command))),
            join_all(there.into_iter().map(|command| other.1.execute(command))),
            shop.sweep(),
            sweep(&other.0),
        );
        let at = format!("TRADELINE_TEST_SEED={seed}, round {round}: {asks:?}");
        for (ask, answer) in asks.iter().zip(one.into_iter().chain(two)) {
            match answer {
                // Only to have something to confirm and to give up.
                Ok(outcome) if matches!(ask, Ask::Reserve(..)) => {
                    let mut lists = shop.lists.clone();
                    lists.holds.clear();
                    for product in &mut lists.products {
                        (product.on_hand, product.limit) = (1_000_000, None);
                    }
                    let _ = lists.ask(ask);
                    let mut hold = lists.holds.remove(0);
                    let Some(Executed::Reserved(found)) = outcome.value() else {
                        panic!("a reservation was made");
                    };
                    hold.id = found.reservation.id;
                    shop.lists.holds.push(hold);
                }
                Ok(_) => {}
                Err(error) => drop(shop.told(&error)),
            }
        }
        shop.keep_the_laws(&at).await;
        match dice.random_range(0..4) {
            0 => shop.pass(TICK).await,
            1 => {
                let product = shop.lists.products.choose(&mut dice).unwrap().id;
                let by = Correction::Adjust(dice.random_range(1..6));
                shop.correct(product, by).await.unwrap();
            }
            _ => {}
        }
    }
    shop.sweep().await;
    shop.keep_the_laws(&format!("TRADELINE_TEST_SEED={seed}"))
        .await;
    shop.lines_were_served_in_order().await;
    assert_eq!(shop.database.deadlocks().await, 0);
}

/// Executes a random history and compares the database with the model after each step.
async fn agree(seed: u64, sweeps: Sweeps, most: usize, steps: usize) {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut shop = Shop::open().await;
    for number in 0..steps {
        let step = shop.random_step(&mut dice, most, sweeps);
        let line = format!("{number}: {step:?}");
        writeln!(shop.history, "{line}").unwrap();
        shop.perform(&step, sweeps, &mut dice, seed).await;
        shop.check(&line, seed).await;
    }
    shop.sweep().await;
    shop.lists.sweep();
    shop.check("the last sweep", seed).await;
    let open = "SELECT count(*) FROM reservations WHERE status IN ('waiting', 'active') AND expires_at <= now()";
    assert_eq!(shop.database.value(open).await, "0");
    shop.keep_the_laws(&format!("TRADELINE_TEST_SEED={seed}\n{}", shop.history))
        .await;
    shop.lines_were_served_in_order().await;
    assert_eq!(shop.database.deadlocks().await, 0);
}

fn seed(otherwise: u64) -> u64 {
    std::env::var("TRADELINE_TEST_SEED").map_or(otherwise, |seed| seed.parse().unwrap())
}
