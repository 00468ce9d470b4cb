//! The queue of one business: who is served next, and who has to wait for whom.
//!
//! Purchases that want the same row are served in order of arrival. One that shares no row with any before it waits for
//! none of them: a batch takes, in order of arrival, what meets neither a batch in flight nor a purchase that was passed
//! over. So two batches in flight never wait for each other's locks, and the outcome is that of one strict line, since
//! the order of two purchases that share nothing cannot be told from it.
//!
//! A transaction costs the same few hundred microseconds whatever it holds. So while a batch is being sold, the next
//! gathers until it is half as large; when none is, nobody waits.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use entity::{CustomerId, ProductId, UserId};

/// The most rows that one look at the queue goes through, which bounds the time that it takes and the size of a batch of
/// large carts. The first purchase is always looked at.
const ROWS: usize = 4096;

/// What two purchases cannot have at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Row {
    Customer(CustomerId),
    Product(ProductId),
    /// A hash of a caller and its idempotency key: of twins the second waits for the first's answer. Others that happen
    /// to have the same hash merely wait too.
    Key(u64),
}

impl Row {
    pub(super) fn key(caller: UserId, key: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (caller, key).hash(&mut hasher);
        Self::Key(hasher.finish())
    }
}

#[derive(Debug)]
pub(super) struct Queue<T> {
    waiting: VecDeque<(T, Box<[Row]>)>,
    /// The rows of the batches in flight.
    in_flight: HashSet<Row>,
    /// The rows that whoever comes now must wait for: those in flight, and those of the ones that wait for them.
    spoken_for: HashSet<Row>,
    /// How many have come since the last look and could go.
    gathered: usize,
    /// How many are in the batches that the next one gathers behind.
    being_sold: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            in_flight: HashSet::new(),
            spoken_for: HashSet::new(),
            gathered: 0,
            being_sold: 0,
        }
    }
}

/// What a look at the queue took.
#[derive(Debug)]
pub(super) struct Taken<T> {
    pub(super) batch: Vec<T>,
    /// To be given back when the batch is done.
    pub(super) rows: Vec<Row>,
    /// Nothing that is left can be taken before something changes.
    pub(super) looked_at_all: bool,
}

impl<T> Queue<T> {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Nobody waits, nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty() && self.being_sold == 0
    }

    /// Joins the queue. True when it is time to take a batch.
    pub(super) fn push(&mut self, item: T, rows: Box<[Row]>) -> bool {
        let free = is_free(&rows, &self.spoken_for);
        if free {
            self.gathered += 1;
        } else {
            self.spoken_for.extend(&rows);
        }
        self.waiting.push_back((item, rows));
        free && 2 * self.gathered >= self.being_sold
    }

    /// Takes those that may go now, in order of arrival, `most` of them. Drops those that are `gone`.
    pub(super) fn take(&mut self, most: usize, gone: impl Fn(&T) -> bool) -> Taken<T> {
        let mut taken = Taken {
            batch: Vec::with_capacity(most.min(self.waiting.len())),
            rows: Vec::new(),
            looked_at_all: false,
        };
        self.spoken_for.clone_from(&self.in_flight);
        let mut passed_over = VecDeque::new();
        let mut looked_at = 0;
        while taken.batch.len() < most && looked_at < ROWS {
            let Some((item, rows)) = self.waiting.pop_front() else {
                break;
            };
            if gone(&item) {
                continue;
            }
            looked_at += rows.len();
            if is_free(&rows, &self.spoken_for) {
                taken.batch.push(item);
                taken.rows.extend(&rows);
            } else {
                self.spoken_for.extend(&rows);
                passed_over.push_back((item, rows));
            }
        }
        taken.looked_at_all = self.waiting.is_empty();
        passed_over.append(&mut self.waiting);
        self.waiting = passed_over;
        self.in_flight.extend(&taken.rows);
        self.spoken_for.extend(&taken.rows);
        self.gathered = 0;
        self.being_sold += taken.batch.len();
        taken
    }

    /// Gives back the rows of a batch. True when some may wait for them.
    pub(super) fn release(&mut self, rows: &[Row]) -> bool {
        for row in rows {
            self.in_flight.remove(row);
        }
        if self.waiting.is_empty() {
            // No look follows: whoever comes next must not wait for what was just given back.
            self.spoken_for.clone_from(&self.in_flight);
            return false;
        }
        true
    }

    /// So many are sold, or take too long for others to gather behind them. True when some have gathered.
    pub(super) fn sold(&mut self, count: usize) -> bool {
        self.being_sold -= count;
        self.gathered > 0
    }
}

fn is_free(rows: &[Row], spoken_for: &HashSet<Row>) -> bool {
    rows.iter().all(|row| !spoken_for.contains(row))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn product(number: u8) -> Row {
        Row::Product(ProductId(Uuid::from_u128(number.into())))
    }

    fn products(numbers: &[u8]) -> Box<[Row]> {
        numbers.iter().copied().map(product).collect()
    }

    fn take(queue: &mut Queue<usize>) -> Taken<usize> {
        queue.take(64, |_| false)
    }

    #[test]
    fn who_shares_no_row_with_anyone_passes_those_that_wait() {
        let mut queue = Queue::default();
        assert!(queue.push(1, products(&[1, 2])));
        let first = take(&mut queue);
        assert!(!queue.push(2, products(&[2, 3])), "2 is being sold");
        assert!(
            !queue.push(3, products(&[3])),
            "3 is wanted by an earlier one"
        );
        assert!(queue.push(4, products(&[4])));
        assert_eq!(take(&mut queue).batch, [4]);
        assert!(queue.release(&first.rows));
        assert_eq!(take(&mut queue).batch, [2, 3]);
    }

    #[test]
    fn twins_of_one_key_wait_for_each_other_and_others_do_not() {
        let (caller, other) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let mut queue = Queue::default();
        queue.push(1, Box::new([Row::key(caller, "k")]));
        take(&mut queue);
        queue.push(2, Box::new([Row::key(caller, "k")]));
        queue.push(3, Box::new([Row::key(other, "k")]));
        queue.push(4, Box::new([Row::key(caller, "another")]));
        assert_eq!(take(&mut queue).batch, [3, 4]);
    }

    #[test]
    fn purchases_gather_behind_a_batch_until_they_are_half_as_many_and_never_when_none_is_sold() {
        let mut queue = Queue::default();
        for number in 0..6 {
            assert!(queue.push(usize::from(number), products(&[number])));
        }
        assert_eq!(take(&mut queue).batch.len(), 6);
        assert!(!queue.push(6, products(&[6])));
        assert!(!queue.push(7, products(&[7])));
        assert!(queue.push(8, products(&[8])), "three are half of six");
        assert!(queue.sold(6), "three wait to be looked at");
        assert_eq!(take(&mut queue).batch, [6, 7, 8]);
        assert!(!queue.sold(3));
        assert!(queue.push(9, products(&[9])));
    }

    #[test]
    fn who_is_gone_is_dropped_and_holds_nobody_up() {
        let mut queue = Queue::default();
        queue.push(1, products(&[1]));
        queue.push(2, products(&[1]));
        let taken = queue.take(64, |item| *item == 1);
        assert_eq!((taken.batch, taken.rows.len()), (vec![2], 1));
    }

    #[test]
    fn one_look_goes_through_a_bounded_number_of_rows() {
        let large: Vec<u8> = (0..=255).collect();
        let mut queue = Queue::default();
        for number in 0..40 {
            queue.push(number, products(&large));
        }
        let taken = take(&mut queue);
        assert_eq!(taken.batch.len(), ROWS / large.len());
        assert!(!taken.looked_at_all);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(Vec<u8>),
        Take(usize),
        Release(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => prop::collection::vec(0_u8..12, 1..4).prop_map(Step::Push),
            1 => (1_usize..5).prop_map(Step::Take),
            1 => (0_usize..4).prop_map(Step::Release),
        ]
    }

    proptest! {
        #[test]
        fn those_that_share_a_row_are_served_in_order_of_arrival_one_batch_at_a_time_and_none_is_lost(
            steps in prop::collection::vec(step(), 1..120),
        ) {
            let mut queue = Queue::default();
            let mut carts: Vec<Vec<u8>> = Vec::new();
            let mut flying: Vec<Taken<usize>> = Vec::new();
            let mut served: Vec<usize> = Vec::new();
            // The desk looks only when it was told that it is time to.
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
                        is_time = !taken.looked_at_all;
                        prop_assert!(taken.batch.len() <= most);
                        for other in &flying {
                            prop_assert!(taken.rows.iter().all(|row| !other.rows.contains(row)));
                        }
                        served.extend(&taken.batch);
                        if !taken.batch.is_empty() {
                            flying.push(taken);
                        }
                    }
                    Step::Release(which) if which < flying.len() => {
                        let done = flying.remove(which);
                        is_time |= queue.release(&done.rows);
                        is_time |= queue.sold(done.batch.len());
                    }
                    Step::Take(_) | Step::Release(_) => {}
                }
            }
            prop_assert_eq!(served.len(), carts.len());
            for (later_at, later) in served.iter().enumerate() {
                for earlier in &served[later_at + 1..] {
                    let share = carts[*later].iter().any(|row| carts[*earlier].contains(row));
                    prop_assert!(later < earlier || !share, "{later} was served before {earlier}");
                }
            }
            prop_assert!(queue.waiting.is_empty());
        }
    }
}
