//! The queue of one business: who is served next, and who has to wait for whom.
//!
//! Purchases that want the same row are served in order of arrival. One that shares no row with any before it waits for
//! none of them: a batch takes, in order of arrival, what meets neither a batch in flight nor a purchase that was passed
//! over. The outcome is that of one strict line, since the order of two purchases that share nothing cannot be told from
//! it.
//!
//! A batch that has been decided may promise what it leaves of a row (`promise.rs`). The next may then take those who want
//! that row, and follow. It does where that makes it twice as large; otherwise they are passed over, as if the row were
//! in flight, since to follow costs a statement more.
//!
//! A transaction costs the same few hundred microseconds whatever it holds. So while a batch is being sold, the next
//! gathers until it is half as large; when none is, nobody waits.

use std::collections::{HashMap, HashSet, VecDeque};
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

/// Who waits, as `T`, and what is promised of a row, as `P`.
#[derive(Debug)]
pub(super) struct Queue<T, P> {
    waiting: VecDeque<(T, Box<[Row]>)>,
    /// The rows of the batches in flight that are not promised, with how many of those batches have each: one that could
    /// not keep its promise takes the row back while who followed it has it too.
    in_flight: HashMap<Row, usize>,
    /// What the newest batch that had such a row leaves of it, and the number of that batch.
    promised: HashMap<Row, (u64, P)>,
    /// The rows that whoever comes now must wait for: those in flight, and those of the ones that wait for them.
    spoken_for: HashSet<Row>,
    /// How many have come since the last look and could go.
    gathered: usize,
    /// How many are in the batches that the next one gathers behind.
    being_sold: usize,
}

impl<T, P> Default for Queue<T, P> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            in_flight: HashMap::new(),
            promised: HashMap::new(),
            spoken_for: HashSet::new(),
            gathered: 0,
            being_sold: 0,
        }
    }
}

/// What a look at the queue took.
#[derive(Debug)]
pub(super) struct Taken<T, P> {
    pub(super) batch: Vec<T>,
    /// To be given back, or promised, when the batch is done with them. Each once.
    pub(super) rows: Vec<Row>,
    /// What others have promised of those rows.
    pub(super) promised: Vec<(Row, P)>,
    /// Another look may take more before anything changes: not all were looked at. Never after a look that took nobody: it
    /// would be the same look again, and who is in the way says so when it gives its rows back.
    pub(super) is_worth_another_look: bool,
}

/// Whom a look would take, by place in the queue.
struct Choice {
    places: Vec<usize>,
    /// From here on nobody was looked at.
    looked_until: usize,
}

impl<T, P: Clone> Queue<T, P> {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Nobody waits, nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && self.in_flight.is_empty()
            && self.promised.is_empty()
            && self.being_sold == 0
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
        free && self.is_time()
    }

    fn is_time(&self) -> bool {
        2 * self.gathered >= self.being_sold
    }

    /// Takes those that may go now, in order of arrival, `most` of them. Drops those that are `gone`.
    pub(super) fn take(&mut self, most: usize, gone: impl Fn(&T) -> bool) -> Taken<T, P> {
        self.waiting.retain(|(item, _)| !gone(item));
        let mut choice = self.choose(most, false);
        if !self.promised.is_empty() {
            let following = self.choose(most, true);
            if following.places.len() >= 2 * choice.places.len() {
                choice = following;
            }
        }
        self.gathered = 0;
        self.being_sold += choice.places.len();
        let is_worth_another_look =
            !choice.places.is_empty() && choice.looked_until < self.waiting.len();
        let (batch, rows) = self.remove(&choice);
        let promised = rows
            .iter()
            .filter_map(|row| Some((*row, self.promised.get(row)?.1.clone())))
            .collect();
        for row in &rows {
            *self.in_flight.entry(*row).or_default() += 1;
        }
        self.spoken_for.extend(&rows);
        Taken {
            batch,
            rows,
            promised,
            is_worth_another_look,
        }
    }

    /// In order of arrival, those who want nothing that is in flight, is promised (unless they are to follow), or is
    /// wanted by one before them who has to wait.
    fn choose(&mut self, most: usize, follow: bool) -> Choice {
        self.spoken_for.clear();
        self.spoken_for.extend(self.in_flight.keys());
        if !follow {
            self.spoken_for.extend(self.promised.keys());
        }
        let mut choice = Choice {
            places: Vec::with_capacity(most.min(self.waiting.len())),
            looked_until: 0,
        };
        let mut looked_at = 0;
        for (place, (_, rows)) in self.waiting.iter().enumerate() {
            if choice.places.len() == most || looked_at >= ROWS {
                break;
            }
            choice.looked_until = place + 1;
            looked_at += rows.len();
            if is_free(rows, &self.spoken_for) {
                choice.places.push(place);
            } else {
                self.spoken_for.extend(rows);
            }
        }
        choice
    }

    /// Takes the chosen out of the queue, with their rows.
    fn remove(&mut self, choice: &Choice) -> (Vec<T>, Vec<Row>) {
        let mut batch = Vec::with_capacity(choice.places.len());
        let mut wanted = HashSet::new();
        let mut left = VecDeque::with_capacity(self.waiting.len() - choice.places.len());
        let mut places = choice.places.iter().copied().peekable();
        for (place, (item, rows)) in self.waiting.drain(..).enumerate() {
            if places.next_if_eq(&place).is_some() {
                wanted.extend(rows);
                batch.push(item);
            } else {
                left.push_back((item, rows));
            }
        }
        self.waiting = left;
        // Whoever comes now waits behind those who were passed over, and for nothing that is promised.
        self.spoken_for.clear();
        self.spoken_for.extend(self.in_flight.keys());
        let passed_over = self.waiting.iter().take(choice.looked_until - batch.len());
        self.spoken_for
            .extend(passed_over.flat_map(|(_, rows)| rows));
        (batch, wanted.into_iter().collect())
    }

    /// Gives back the rows of a batch. True when some may wait for them.
    pub(super) fn release(&mut self, rows: &[Row]) -> bool {
        for row in rows {
            self.give_back(*row);
        }
        if self.waiting.is_empty() {
            // No look follows: whoever comes next must not wait for what was just given back.
            self.spoken_for.clear();
            self.spoken_for.extend(self.in_flight.keys());
            return false;
        }
        true
    }

    /// From now on the next may follow: a batch with this number says what it leaves of these rows, which it had in flight.
    /// True when it is time to take a batch of those who waited for them.
    pub(super) fn promise(&mut self, batch: u64, promises: impl Iterator<Item = (Row, P)>) -> bool {
        for (row, promise) in promises {
            self.give_back(row);
            self.promised.insert(row, (batch, promise));
        }
        self.gathered = self.choose(usize::MAX, true).places.len();
        self.gathered > 0 && self.is_time()
    }

    /// The batch has ended, one way or the other. True when some may wait who would not follow.
    pub(super) fn forget(&mut self, batch: u64, rows: &[Row]) -> bool {
        self.take_back(batch, rows);
        !self.waiting.is_empty()
    }

    /// The batch begins anew: what it had promised is in flight again.
    pub(super) fn withdraw(&mut self, batch: u64, rows: &[Row]) {
        self.take_back(batch, rows);
        for row in rows {
            *self.in_flight.entry(*row).or_default() += 1;
        }
    }

    /// What the batch has promised counts no more. Of a row that a later batch has promised too, that one's word stays.
    fn take_back(&mut self, batch: u64, rows: &[Row]) {
        for row in rows {
            if self.promised.get(row).is_some_and(|(by, _)| *by == batch) {
                self.promised.remove(row);
            }
        }
    }

    fn give_back(&mut self, row: Row) {
        if let Some(batches) = self.in_flight.get_mut(&row) {
            *batches -= 1;
            if *batches == 0 {
                self.in_flight.remove(&row);
            }
        }
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

    /// Of a product it is promised how many are left.
    type Products = Queue<usize, i64>;

    fn take(queue: &mut Products) -> Taken<usize, i64> {
        queue.take(64, |_| false)
    }

    fn promise(queue: &mut Products, batch: u64, products: &[u8], left: i64) -> bool {
        let promises = products.iter().map(|number| (product(*number), left));
        queue.promise(batch, promises)
    }

    #[test]
    fn who_shares_no_row_with_anyone_passes_those_that_wait() {
        let mut queue = Products::default();
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
    fn who_waits_for_what_is_promised_follows_and_knows_by_what() {
        let mut queue = Products::default();
        queue.push(1, products(&[1, 2]));
        let first = take(&mut queue);
        assert!(!queue.push(2, products(&[2, 3])), "2 is being sold");
        assert!(promise(&mut queue, 1, &[1, 2], 7));
        let second = take(&mut queue);
        assert_eq!(second.batch, [2]);
        assert_eq!(second.promised, [(product(2), 7)]);
        assert!(!queue.push(3, products(&[3])), "nobody has promised 3");
        queue.push(4, products(&[1]));
        assert_eq!(take(&mut queue).promised, [(product(1), 7)]);
        assert_eq!(first.promised, []);
    }

    #[test]
    fn few_do_not_make_many_follow() {
        let mut queue = Products::default();
        queue.push(1, products(&[1]));
        take(&mut queue);
        promise(&mut queue, 1, &[1], 7);
        for (number, item) in [(2, 2), (1, 3), (3, 4), (4, 5)] {
            queue.push(item, products(&[number]));
        }
        let others = take(&mut queue);
        assert_eq!((others.batch, others.promised), (vec![2, 4, 5], vec![]));
        assert_eq!(take(&mut queue).batch, [3], "alone it follows");
    }

    #[test]
    fn the_newest_promise_counts_until_its_own_batch_has_ended() {
        let mut queue = Products::default();
        queue.push(1, products(&[1]));
        take(&mut queue);
        promise(&mut queue, 1, &[1], 7);
        queue.push(2, products(&[1]));
        take(&mut queue);
        promise(&mut queue, 2, &[1], 5);
        queue.forget(1, &products(&[1]));
        queue.push(3, products(&[1]));
        assert_eq!(take(&mut queue).promised, [(product(1), 5)]);
        promise(&mut queue, 3, &[1], 4);
        queue.forget(3, &products(&[1]));
        queue.push(4, products(&[1]));
        assert_eq!(take(&mut queue).promised, []);
    }

    #[test]
    fn what_is_taken_back_is_in_flight_again_until_each_that_has_it_gives_it_back() {
        let mut queue = Products::default();
        queue.push(1, products(&[1]));
        take(&mut queue);
        promise(&mut queue, 1, &[1], 7);
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
        queue.push(1, Box::new([Row::key(caller, "k")]));
        take(&mut queue);
        queue.push(2, Box::new([Row::key(caller, "k")]));
        queue.push(3, Box::new([Row::key(other, "k")]));
        queue.push(4, Box::new([Row::key(caller, "another")]));
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
        assert!(queue.sold(6), "three wait to be looked at");
        assert_eq!(take(&mut queue).batch, [6, 7, 8]);
        assert!(!queue.sold(3));
        assert!(queue.push(9, products(&[9])));
    }

    #[test]
    fn who_is_gone_is_dropped_and_holds_nobody_up() {
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
        assert_eq!(taken.batch.len(), ROWS / large.len());
        assert!(taken.is_worth_another_look);
        let blocked = take(&mut queue);
        assert!(blocked.batch.is_empty());
        assert!(!blocked.is_worth_another_look, "it would be the same look");
        assert!(queue.release(&taken.rows));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(Vec<u8>),
        Take(usize),
        /// What it has been decided to leave, or to begin anew.
        Promise(usize),
        Withdraw(usize),
        Release(usize),
    }

    /// A batch in flight.
    struct Flying {
        number: u64,
        batch: Vec<usize>,
        rows: Vec<Row>,
        promised: bool,
        may_promise: bool,
    }

    impl Flying {
        fn withdraw(&mut self, queue: &mut Products) {
            if std::mem::take(&mut self.promised) {
                queue.withdraw(self.number, &self.rows);
            }
        }
    }

    fn follows(flying: &[Flying], which: usize) -> bool {
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
            1 => (0_usize..4).prop_map(Step::Promise),
            1 => (0_usize..4).prop_map(Step::Withdraw),
            1 => (0_usize..4).prop_map(Step::Release),
        ]
    }

    proptest! {
        #[test]
        fn those_that_share_a_row_are_served_in_order_of_arrival_one_batch_at_a_time_or_after_a_promise_and_none_is_lost(
            steps in prop::collection::vec(step(), 1..120),
        ) {
            let mut queue = Products::default();
            let mut carts: Vec<Vec<u8>> = Vec::new();
            let mut flying: Vec<Flying> = Vec::new();
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
                        is_time = taken.is_worth_another_look;
                        prop_assert!(taken.batch.len() <= most);
                        let shares = |other: &&Flying| taken.rows.iter().any(|row| other.rows.contains(row));
                        for other in flying.iter().filter(shares) {
                            prop_assert!(other.promised);
                        }
                        // What is followed is what the newest has promised of it.
                        for row in &taken.rows {
                            let newest = flying.iter().rev().find(|other| other.rows.contains(row));
                            let promised = taken.promised.iter().find(|(promised, _)| promised == row);
                            prop_assert_eq!(promised.map(|(_, by)| *by), newest.map(|one| one.number as i64));
                        }
                        served.extend(&taken.batch);
                        if !taken.batch.is_empty() {
                            let number = served.len() as u64;
                            let Taken { batch, rows, .. } = taken;
                            flying.push(Flying { number, batch, rows, promised: false, may_promise: true });
                        }
                    }
                    Step::Promise(which) if which < flying.len() && flying[which].may_promise => {
                        let one = &mut flying[which];
                        (one.promised, one.may_promise) = (true, false);
                        let promises = one.rows.iter().map(|row| (*row, one.number as i64));
                        is_time |= queue.promise(one.number, promises);
                    }
                    // A batch that takes back what it has promised ends after those that it follows, and before those
                    // that follow it: they have to begin anew as well.
                    Step::Withdraw(which) if which < flying.len() => {
                        for one in &mut flying[which..] {
                            one.withdraw(&mut queue);
                            one.may_promise = false;
                        }
                    }
                    // In the database nobody commits before those that it follows.
                    Step::Release(which) if which < flying.len() && !follows(&flying, which) => {
                        let done = flying.remove(which);
                        is_time |= if done.promised {
                            queue.forget(done.number, &done.rows)
                        } else {
                            queue.release(&done.rows)
                        };
                        is_time |= queue.sold(done.batch.len());
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
}
