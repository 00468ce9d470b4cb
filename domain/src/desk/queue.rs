//! The queue of one business: which commands are next, and which must wait for others.
//!
//! Commands that need the same row are executed in order of arrival. A command that shares no row with any earlier
//! one waits for none of them. A batch takes commands in order of arrival. It passes over those that share a row with
//! a batch in flight, or with a command that was passed over. The result equals that of strictly serial execution,
//! since commands that share no row do not affect each other.
//!
//! A batch that has been decided may predict what it leaves of a row (`pipeline.rs`). The next batch may then take
//! commands that need this row, as a pipelined batch. It does so where that makes it at least twice as large.
//! Otherwise they are passed over as if the row were in flight, since pipelining costs one more statement.
//!
//! A transaction takes the same few hundred microseconds whatever its size. While a batch is being executed, the next
//! one therefore gathers until it is half as large. When no batch is being executed, no command waits.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use entity::{CustomerId, ProductId, UserId};

/// The most rows that one call of [`Queue::take`] examines. It bounds the time of the call and the size of a batch of
/// large carts. The first command is always examined.
const MAX_ROWS_EXAMINED: usize = 4096;

/// A row that two commands cannot use at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum SharedRow {
    Customer(CustomerId),
    Product(ProductId),
    /// A hash of a caller and an idempotency key. The second of two commands with one key waits for the first one's
    /// response. Two keys with the same hash merely cause a needless wait.
    Key(u64),
}

impl SharedRow {
    pub(super) fn key(caller: UserId, key: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (caller, key).hash(&mut hasher);
        Self::Key(hasher.finish())
    }
}

/// Waiting commands of type `T`, and predictions for rows of type `P`.
#[derive(Debug)]
pub(super) struct Queue<T, P> {
    waiting: VecDeque<(T, Box<[SharedRow]>)>,
    /// The rows in flight without a prediction, each with the number of batches that have it. The number exceeds 1
    /// when a batch withdraws its prediction while a pipelined batch has the row too.
    in_flight: HashMap<SharedRow, usize>,
    /// The prediction of the newest batch that has the row, and the number of that batch.
    predicted: HashMap<SharedRow, (u64, P)>,
    /// The rows that a new command must wait for: those in flight, and those of the commands that wait for them.
    claimed: HashSet<SharedRow>,
    /// The number of commands that arrived since the last [`Queue::take`] and are ready.
    gathered: usize,
    /// The number of commands in the batches behind which the next one gathers.
    being_sold: usize,
}

impl<T, P> Default for Queue<T, P> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            in_flight: HashMap::new(),
            predicted: HashMap::new(),
            claimed: HashSet::new(),
            gathered: 0,
            being_sold: 0,
        }
    }
}

/// The result of [`Queue::take`].
#[derive(Debug)]
pub(super) struct TakenBatch<T, P> {
    pub(super) batch: Vec<T>,
    /// The rows to release or predict once the batch is done with them, without duplicates.
    pub(super) rows: Vec<SharedRow>,
    /// The predictions of earlier batches for these rows.
    pub(super) predicted: Vec<(SharedRow, P)>,
    /// Whether another call may take more before anything changes, since not all commands were examined. Always false
    /// when nothing was taken: the next call would be identical, and the batch in the way wakes a lane when it
    /// releases its rows.
    pub(super) has_more: bool,
}

/// The commands that a call would take, by index in the queue.
struct Choice {
    indexes: Vec<usize>,
    /// The index from which on no command was examined.
    examined_until: usize,
}

impl<T, P: Clone> Queue<T, P> {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True if no command waits and nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && self.in_flight.is_empty()
            && self.predicted.is_empty()
            && self.being_sold == 0
    }

    /// Adds a command at the end. Returns true when it is time to take a batch.
    pub(super) fn push(&mut self, item: T, rows: Box<[SharedRow]>) -> bool {
        let free = is_available(&rows, &self.claimed);
        if free {
            self.gathered += 1;
        } else {
            self.claimed.extend(&rows);
        }
        self.waiting.push_back((item, rows));
        free && self.is_time()
    }

    fn is_time(&self) -> bool {
        2 * self.gathered >= self.being_sold
    }

    /// Takes up to `most` ready commands in order of arrival. Drops those for which `gone` is true.
    pub(super) fn take(&mut self, most: usize, gone: impl Fn(&T) -> bool) -> TakenBatch<T, P> {
        self.waiting.retain(|(item, _)| !gone(item));
        let mut choice = self.choose(most, false);
        if !self.predicted.is_empty() {
            let following = self.choose(most, true);
            if following.indexes.len() >= 2 * choice.indexes.len() {
                choice = following;
            }
        }
        self.gathered = 0;
        self.being_sold += choice.indexes.len();
        let has_more = !choice.indexes.is_empty() && choice.examined_until < self.waiting.len();
        let (batch, rows) = self.remove(&choice);
        let predicted = rows
            .iter()
            .filter_map(|row| Some((*row, self.predicted.get(row)?.1.clone())))
            .collect();
        for row in &rows {
            *self.in_flight.entry(*row).or_default() += 1;
        }
        self.claimed.extend(&rows);
        TakenBatch {
            batch,
            rows,
            predicted,
            has_more,
        }
    }

    /// Chooses, in order of arrival, the commands whose rows are not in flight, not predicted and not needed by an
    /// earlier command that must wait. With `take_predictions`, predicted rows are allowed.
    fn choose(&mut self, most: usize, take_predictions: bool) -> Choice {
        self.claimed.clear();
        self.claimed.extend(self.in_flight.keys());
        if !take_predictions {
            self.claimed.extend(self.predicted.keys());
        }
        let mut choice = Choice {
            indexes: Vec::with_capacity(most.min(self.waiting.len())),
            examined_until: 0,
        };
        let mut examined = 0;
        for (index, (_, rows)) in self.waiting.iter().enumerate() {
            if choice.indexes.len() == most || examined >= MAX_ROWS_EXAMINED {
                break;
            }
            choice.examined_until = index + 1;
            examined += rows.len();
            if is_available(rows, &self.claimed) {
                choice.indexes.push(index);
            } else {
                self.claimed.extend(rows);
            }
        }
        choice
    }

    /// Removes the chosen commands from the queue. Returns them with their rows.
    fn remove(&mut self, choice: &Choice) -> (Vec<T>, Vec<SharedRow>) {
        let mut batch = Vec::with_capacity(choice.indexes.len());
        let mut wanted = HashSet::new();
        let mut left = VecDeque::with_capacity(self.waiting.len() - choice.indexes.len());
        let mut indexes = choice.indexes.iter().copied().peekable();
        for (index, (item, rows)) in self.waiting.drain(..).enumerate() {
            if indexes.next_if_eq(&index).is_some() {
                wanted.extend(rows);
                batch.push(item);
            } else {
                left.push_back((item, rows));
            }
        }
        self.waiting = left;
        // A new command waits behind those that were passed over, but not for predicted rows.
        self.claimed.clear();
        self.claimed.extend(self.in_flight.keys());
        let passed_over = self
            .waiting
            .iter()
            .take(choice.examined_until - batch.len());
        self.claimed.extend(passed_over.flat_map(|(_, rows)| rows));
        (batch, wanted.into_iter().collect())
    }

    /// Releases the rows of a batch. Returns true when commands may be waiting for them.
    pub(super) fn release(&mut self, rows: &[SharedRow]) -> bool {
        for row in rows {
            self.release_row(*row);
        }
        if self.waiting.is_empty() {
            // No `take` follows, so a new command must not wait for the rows that were just released.
            self.claimed.clear();
            self.claimed.extend(self.in_flight.keys());
            return false;
        }
        true
    }

    /// Records what a batch leaves of rows that it had in flight, so that the next batch may be pipelined. Returns
    /// true when it is time to take a batch of the commands that waited for them.
    pub(super) fn predict(
        &mut self,
        batch: u64,
        predictions: impl Iterator<Item = (SharedRow, P)>,
    ) -> bool {
        for (row, predict) in predictions {
            self.release_row(row);
            self.predicted.insert(row, (batch, predict));
        }
        self.gathered = self.choose(usize::MAX, true).indexes.len();
        self.gathered > 0 && self.is_time()
    }

    /// Forgets the predictions of a batch that has ended, committed or not. Returns true when commands may be waiting
    /// that would not be pipelined.
    pub(super) fn forget(&mut self, batch: u64, rows: &[SharedRow]) -> bool {
        self.remove_predictions(batch, rows);
        !self.waiting.is_empty()
    }

    /// Withdraws the predictions of a batch that starts again. Its rows are in flight again.
    pub(super) fn withdraw(&mut self, batch: u64, rows: &[SharedRow]) {
        self.remove_predictions(batch, rows);
        for row in rows {
            *self.in_flight.entry(*row).or_default() += 1;
        }
    }

    /// Removes a batch's predictions. A prediction by a later batch for the same row stays.
    fn remove_predictions(&mut self, batch: u64, rows: &[SharedRow]) {
        for row in rows {
            if self.predicted.get(row).is_some_and(|(by, _)| *by == batch) {
                self.predicted.remove(row);
            }
        }
    }

    fn release_row(&mut self, row: SharedRow) {
        if let Some(batches) = self.in_flight.get_mut(&row) {
            *batches -= 1;
            if *batches == 0 {
                self.in_flight.remove(&row);
            }
        }
    }

    /// Ends the gathering behind `count` commands: they are executed, or take too long. Returns true when commands
    /// have gathered.
    pub(super) fn executed(&mut self, count: usize) -> bool {
        self.being_sold -= count;
        self.gathered > 0
    }
}

fn is_available(rows: &[SharedRow], claimed: &HashSet<SharedRow>) -> bool {
    rows.iter().all(|row| !claimed.contains(row))
}

#[cfg(test)]
mod tests;
