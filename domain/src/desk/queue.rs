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
    predicted: HashMap<Row, (u64, P)>,
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
            predicted: HashMap::new(),
            spoken_for: HashSet::new(),
            gathered: 0,
            being_sold: 0,
        }
    }
}

/// What a look at the queue took.
#[derive(Debug)]
pub(super) struct TakenBatch<T, P> {
    pub(super) batch: Vec<T>,
    /// To be given back, or promised, when the batch is done with them. Each once.
    pub(super) rows: Vec<Row>,
    /// What others have promised of those rows.
    pub(super) predicted: Vec<(Row, P)>,
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
            && self.predicted.is_empty()
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
    pub(super) fn take(&mut self, most: usize, gone: impl Fn(&T) -> bool) -> TakenBatch<T, P> {
        self.waiting.retain(|(item, _)| !gone(item));
        let mut choice = self.choose(most, false);
        if !self.predicted.is_empty() {
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
        let predicted = rows
            .iter()
            .filter_map(|row| Some((*row, self.predicted.get(row)?.1.clone())))
            .collect();
        for row in &rows {
            *self.in_flight.entry(*row).or_default() += 1;
        }
        self.spoken_for.extend(&rows);
        TakenBatch {
            batch,
            rows,
            predicted,
            is_worth_another_look,
        }
    }

    /// In order of arrival, those who want nothing that is in flight, is promised (unless they are to follow), or is
    /// wanted by one before them who has to wait.
    fn choose(&mut self, most: usize, take_predictions: bool) -> Choice {
        self.spoken_for.clear();
        self.spoken_for.extend(self.in_flight.keys());
        if !take_predictions {
            self.spoken_for.extend(self.predicted.keys());
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
    pub(super) fn predict(
        &mut self,
        batch: u64,
        predictions: impl Iterator<Item = (Row, P)>,
    ) -> bool {
        for (row, predict) in predictions {
            self.give_back(row);
            self.predicted.insert(row, (batch, predict));
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
            if self.predicted.get(row).is_some_and(|(by, _)| *by == batch) {
                self.predicted.remove(row);
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
    pub(super) fn executed(&mut self, count: usize) -> bool {
        self.being_sold -= count;
        self.gathered > 0
    }
}

fn is_free(rows: &[Row], spoken_for: &HashSet<Row>) -> bool {
    rows.iter().all(|row| !spoken_for.contains(row))
}

#[cfg(test)]
mod tests;
