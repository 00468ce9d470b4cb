use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn product(number: u8) -> SharedRow {
    SharedRow::Product(ProductId(Uuid::from_u128(number.into())))
}

fn products(numbers: &[u8]) -> Box<[SharedRow]> {
    numbers.iter().copied().map(product).collect()
}

/// A queue that predicts the units left of a product.
type Products = Queue<usize, i64>;

fn take(queue: &mut Products) -> TakenBatch<usize, i64> {
    queue.take(64, |_| false)
}

fn predict(queue: &mut Products, batch: u64, products: &[u8], left: i64) -> bool {
    let predictions = products.iter().map(|number| (product(*number), left));
    queue.predict(batch, predictions)
}

#[test]
fn a_command_that_shares_no_row_overtakes_waiting_ones() {
    let mut queue = Products::default();
    assert!(queue.push(1, products(&[1, 2])));
    let first = take(&mut queue);
    assert!(!queue.push(2, products(&[2, 3])), "a batch sells 2");
    assert!(!queue.push(3, products(&[3])), "an earlier command needs 3");
    assert!(queue.push(4, products(&[4])));
    assert_eq!(take(&mut queue).batch, [4]);
    assert!(queue.release(&first.rows));
    assert_eq!(take(&mut queue).batch, [2, 3]);
}

#[test]
fn a_command_for_predicted_stock_follows_with_the_prediction() {
    let mut queue = Products::default();
    queue.push(1, products(&[1, 2]));
    let first = take(&mut queue);
    assert!(!queue.push(2, products(&[2, 3])), "a batch sells 2");
    assert!(predict(&mut queue, 1, &[1, 2], 7));
    let second = take(&mut queue);
    assert_eq!(second.batch, [2]);
    assert_eq!(second.predicted, [(product(2), 7)]);
    assert!(!queue.push(3, products(&[3])), "no batch has predicted 3");
    queue.push(4, products(&[1]));
    assert_eq!(take(&mut queue).predicted, [(product(1), 7)]);
    assert_eq!(first.predicted, []);
}

#[test]
fn few_do_not_make_many_follow() {
    let mut queue = Products::default();
    queue.push(1, products(&[1]));
    take(&mut queue);
    predict(&mut queue, 1, &[1], 7);
    for (number, item) in [(2, 2), (1, 3), (3, 4), (4, 5)] {
        queue.push(item, products(&[number]));
    }
    let others = take(&mut queue);
    assert_eq!((others.batch, others.predicted), (vec![2, 4, 5], vec![]));
    assert_eq!(take(&mut queue).batch, [3], "alone it follows");
}

#[test]
fn the_newest_prediction_counts_until_its_own_batch_has_ended() {
    let mut queue = Products::default();
    queue.push(1, products(&[1]));
    take(&mut queue);
    predict(&mut queue, 1, &[1], 7);
    queue.push(2, products(&[1]));
    take(&mut queue);
    predict(&mut queue, 2, &[1], 5);
    queue.forget(1, &products(&[1]));
    queue.push(3, products(&[1]));
    assert_eq!(take(&mut queue).predicted, [(product(1), 5)]);
    predict(&mut queue, 3, &[1], 4);
    queue.forget(3, &products(&[1]));
    queue.push(4, products(&[1]));
    assert_eq!(take(&mut queue).predicted, []);
}

#[test]
fn a_withdrawn_prediction_is_in_flight_until_every_holder_returns_it() {
    let mut queue = Products::default();
    queue.push(1, products(&[1]));
    take(&mut queue);
    predict(&mut queue, 1, &[1], 7);
    queue.push(2, products(&[1]));
    take(&mut queue);
    queue.withdraw(1, &products(&[1]));
    queue.push(3, products(&[1]));
    assert!(queue.release(&products(&[1])), "the first has ended");
    assert!(take(&mut queue).batch.is_empty(), "the second has not");
    assert!(queue.release(&products(&[1])));
    assert_eq!(take(&mut queue).batch, [3]);
}

#[test]
fn twins_of_one_key_wait_for_each_other_and_others_do_not() {
    let (caller, other) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
    let mut queue = Products::default();
    queue.push(1, Box::new([SharedRow::key(caller, "k")]));
    take(&mut queue);
    queue.push(2, Box::new([SharedRow::key(caller, "k")]));
    queue.push(3, Box::new([SharedRow::key(other, "k")]));
    queue.push(4, Box::new([SharedRow::key(caller, "another")]));
    assert_eq!(take(&mut queue).batch, [3, 4]);
}

#[test]
fn purchases_gather_behind_a_batch_until_they_are_half_as_many_and_never_when_none_is_sold() {
    let mut queue = Products::default();
    for number in 0..6 {
        assert!(queue.push(usize::from(number), products(&[number])));
    }
    assert_eq!(take(&mut queue).batch.len(), 6);
    assert!(!queue.push(6, products(&[6])));
    assert!(!queue.push(7, products(&[7])));
    assert!(queue.push(8, products(&[8])), "three are half of six");
    assert!(queue.executed(6), "three commands wait for a check");
    assert_eq!(take(&mut queue).batch, [6, 7, 8]);
    assert!(!queue.executed(3));
    assert!(queue.push(9, products(&[9])));
}

#[test]
fn commands_of_callers_that_are_gone_are_dropped_and_delay_nobody() {
    let mut queue = Products::default();
    queue.push(1, products(&[1]));
    queue.push(2, products(&[1]));
    let taken = queue.take(64, |item| *item == 1);
    assert_eq!((taken.batch, taken.rows.len()), (vec![2], 1));
}

#[test]
fn one_look_goes_through_a_bounded_number_of_rows() {
    let large: Vec<u8> = (0..=255).collect();
    let mut queue = Products::default();
    for number in 0..40 {
        queue.push(number, products(&large));
    }
    let taken = take(&mut queue);
    assert_eq!(taken.batch.len(), MAX_ROWS_EXAMINED / large.len());
    assert!(taken.has_more);
    let blocked = take(&mut queue);
    assert!(blocked.batch.is_empty());
    assert!(!blocked.has_more, "a second check would find the same");
    assert!(queue.release(&taken.rows));
}

#[derive(Debug, Clone)]
enum Step {
    Push(Vec<u8>),
    Take(usize),
    /// Predicts what a decided batch leaves, if it may still predict.
    PredictedStock(usize),
    Withdraw(usize),
    Release(usize),
}

/// A batch in flight.
struct Flying {
    number: u64,
    batch: Vec<usize>,
    rows: Vec<SharedRow>,
    predicted: bool,
    may_predict: bool,
}

impl Flying {
    fn withdraw(&mut self, queue: &mut Products) {
        if std::mem::take(&mut self.predicted) {
            queue.withdraw(self.number, &self.rows);
        }
    }
}

fn is_pipelined(flying: &[Flying], which: usize) -> bool {
    let rows = &flying[which].rows;
    let before = flying[..which].iter();
    before
        .flat_map(|one| &one.rows)
        .any(|row| rows.contains(row))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::collection::vec(0_u8..12, 1..4).prop_map(Step::Push),
        1 => (1_usize..5).prop_map(Step::Take),
        1 => (0_usize..4).prop_map(Step::PredictedStock),
        1 => (0_usize..4).prop_map(Step::Withdraw),
        1 => (0_usize..4).prop_map(Step::Release),
    ]
}

proptest! {
    #[test]
    fn commands_that_share_a_row_run_in_order_of_arrival_one_batch_at_a_time_or_after_a_prediction(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut queue = Products::default();
        let mut carts: Vec<Vec<u8>> = Vec::new();
        let mut flying: Vec<Flying> = Vec::new();
        let mut served: Vec<usize> = Vec::new();
        // The desk takes a batch only when the queue has returned true.
        let mut is_time = false;
        let drain = std::iter::repeat_n([Step::Take(4), Step::Release(0)], 200).flatten();
        for step in steps.into_iter().chain(drain) {
            match step {
                Step::Push(cart) => {
                    is_time |= queue.push(carts.len(), products(&cart));
                    carts.push(cart);
                }
                Step::Take(most) if is_time => {
                    let taken = queue.take(most, |_| false);
                    is_time = taken.has_more;
                    prop_assert!(taken.batch.len() <= most);
                    let shares = |other: &&Flying| taken.rows.iter().any(|row| other.rows.contains(row));
                    for other in flying.iter().filter(shares) {
                        prop_assert!(other.predicted);
                    }
                    // The prediction that is followed is the newest one.
                    for row in &taken.rows {
                        let newest = flying.iter().rev().find(|other| other.rows.contains(row));
                        let predicted = taken.predicted.iter().find(|(predicted, _)| predicted == row);
                        prop_assert_eq!(predicted.map(|(_, by)| *by), newest.map(|one| one.number as i64));
                    }
                    served.extend(&taken.batch);
                    if !taken.batch.is_empty() {
                        let number = served.len() as u64;
                        let TakenBatch { batch, rows, .. } = taken;
                        flying.push(Flying { number, batch, rows, predicted: false, may_predict: true });
                    }
                }
                Step::PredictedStock(which) if which < flying.len() && flying[which].may_predict => {
                    let one = &mut flying[which];
                    (one.predicted, one.may_predict) = (true, false);
                    let predictions = one.rows.iter().map(|row| (*row, one.number as i64));
                    is_time |= queue.predict(one.number, predictions);
                }
                // A batch that withdraws its predictions ends after those that it follows and before those that
                // follow it. The latter must start again as well.
                Step::Withdraw(which) if which < flying.len() => {
                    for one in &mut flying[which..] {
                        one.withdraw(&mut queue);
                        one.may_predict = false;
                    }
                }
                // In the database no batch commits before those that it follows.
                Step::Release(which) if which < flying.len() && !is_pipelined(&flying, which) => {
                    let done = flying.remove(which);
                    is_time |= if done.predicted {
                        queue.forget(done.number, &done.rows)
                    } else {
                        queue.release(&done.rows)
                    };
                    is_time |= queue.executed(done.batch.len());
                }
                _ => {}
            }
        }
        prop_assert_eq!(served.len(), carts.len());
        for (later_at, later) in served.iter().enumerate() {
            for earlier in &served[later_at + 1..] {
                let share = carts[*later].iter().any(|row| carts[*earlier].contains(row));
                prop_assert!(later < earlier || !share, "{later} was served before {earlier}");
            }
        }
        prop_assert!(queue.is_idle());
    }
}
