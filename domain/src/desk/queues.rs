//! The queues of all businesses, which of them a lane may serve next, and the rows of each batch in flight.
//!
//! Two batches in flight share a row only where the first has predicted what it leaves of it (`pipeline.rs`).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::ThreadId;
use std::time::Instant;

use entity::{BusinessId, ProductId};
use tokio::sync::{Notify, oneshot, watch};

use super::command::Command;
use super::outcome::Executed;
use super::pipeline::{BackOff, PredictedStock, Predictions, Progress, Stage, Versions};
use super::queue::{Queue, SharedRow, TakenBatch};
use crate::Error;
use crate::foundation::idempotency::Outcome;

/// The most commands in one batch, and so in one transaction.
pub const MAX_COMMANDS_PER_BATCH: usize = 64;

/// The most queued commands of one business. Further ones get [`Error::Overloaded`] at once.
pub const MAX_QUEUED_PER_BUSINESS: usize = 1024;

/// The most queued commands of all businesses together. It bounds the memory of the queues.
const MAX_QUEUED: usize = 8 * MAX_QUEUED_PER_BUSINESS;

/// The queues of all businesses, behind one mutex.
#[derive(Debug, Default)]
pub(super) struct Queues {
    state: Mutex<Waitings>,
}

impl Queues {
    /// Adds a command to the end of its business's queue.
    ///
    /// # Errors
    /// [`Error::Overloaded`] at once when the business or the process has too many queued commands.
    pub(super) fn push(&self, waiting: Waiting) -> Result<(), Error> {
        let business = waiting.command.caller.business_id;
        let rows = waiting.command.rows();
        let mut state = self.state();
        let state = &mut *state;
        if state.waiting >= MAX_QUEUED {
            return Err(Error::Overloaded);
        }
        let business_queue = state.queues_by_business.entry(business).or_default();
        if business_queue.queue.len() >= MAX_QUEUED_PER_BUSINESS {
            return Err(Error::Overloaded);
        }
        state.waiting += 1;
        metrics::gauge!("tradeline_desk_waiting").set(state.waiting as f64);
        if state.change(business, |queue| queue.push(waiting, rows)) {
            state.wake();
        }
        Ok(())
    }

    /// Waits for a ready business and takes its batch. `None` when the lane must end.
    pub(super) async fn next(
        self: &Arc<Self>,
        generation: u32,
    ) -> Option<(InFlight, Vec<Waiting>)> {
        loop {
            let wake = {
                let mut state = self.state();
                if state.generation != generation {
                    // The wake-up may have been for a batch, which another lane must now take.
                    state.wake_if_ready();
                    return None;
                }
                if let Some((business, taken)) = state.take() {
                    state.batches += 1;
                    let number = state.batches;
                    let waiting = taken.batch;
                    let in_flight = InFlight {
                        queues: Arc::clone(self),
                        business,
                        number,
                        rows: taken.rows,
                        predicted: Vec::new(),
                        may_predict: true,
                        is_pipelined: product_predictions(taken.predicted),
                        progress: watch::Sender::new(Progress::BEGUN),
                    };
                    return Some((in_flight, waiting));
                }
                let wake = Arc::new(Notify::new());
                state.idle.push(Idle {
                    thread: std::thread::current().id(),
                    wake: Arc::downgrade(&wake),
                });
                wake
            };
            wake.notified().await;
        }
    }

    /// The generation of lanes that may take batches.
    pub(super) fn generation(&self) -> u32 {
        self.state().generation
    }

    /// Ends all lanes of earlier generations, each after its batch.
    pub(super) fn next_generation(&self) {
        let mut state = self.state();
        state.generation += 1;
        for wake in state.idle.drain(..).filter_map(|lane| lane.wake.upgrade()) {
            wake.notify_one();
        }
    }

    /// Wakes an idle lane if a business is ready.
    pub(super) fn wake_if_ready(&self) {
        self.state().wake_if_ready();
    }

    /// Ends the gathering behind `count` commands of a business. Wakes no lane, since the calling lane itself looks
    /// next.
    pub(super) fn executed(&self, business: BusinessId, count: usize) {
        self.state().change(business, |queue| queue.executed(count));
    }

    fn state(&self) -> MutexGuard<'_, Waitings> {
        // No code that can panic runs under this lock. After a panic the queues would still be consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Waitings {
    queues_by_business: HashMap<BusinessId, BusinessQueue>,
    /// The businesses that a lane may take from now, each once, in turn.
    ready: VecDeque<BusinessId>,
    waiting: usize,
    /// The number of batches so far.
    batches: u64,
    /// The idle lanes; the most recently idle one is last.
    idle: Vec<Idle>,
    /// A lane with an earlier generation ends after its batch.
    generation: u32,
}

#[derive(Debug)]
struct Idle {
    thread: ThreadId,
    /// Dangling when the lane has ended, for example with its thread. Such an entry is removed.
    wake: Weak<Notify>,
}

#[derive(Debug, Default)]
struct BusinessQueue {
    queue: Queue<Waiting, PredictedStock>,
    back_off: BackOff,
    /// Whether the business is in [`Waitings::ready`].
    ready: bool,
}

impl BusinessQueue {
    /// True if nothing is queued or in flight, and no back-off must be remembered.
    fn is_removable(&self) -> bool {
        self.queue.is_idle() && self.back_off.is_over(Instant::now())
    }
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) command: Command,
    pub(super) reply: oneshot::Sender<Result<Outcome<Executed>, Error>>,
}

impl Waitings {
    /// Wakes one idle lane, if there is one: a lane of this thread, otherwise the most recently idle one.
    fn wake(&mut self) {
        self.idle.retain(|lane| lane.wake.strong_count() > 0);
        let here = std::thread::current().id();
        let near = self.idle.iter().rposition(|lane| lane.thread == here);
        let lane = match near {
            Some(at) => Some(self.idle.remove(at)),
            None => self.idle.pop(),
        };
        if let Some(wake) = lane.and_then(|lane| lane.wake.upgrade()) {
            wake.notify_one();
        }
    }

    fn wake_if_ready(&mut self) {
        if !self.ready.is_empty() {
            self.wake();
        }
    }

    /// Changes the queue of a business. When `change` returns true, the business becomes ready. Returns true if it
    /// was not ready before.
    fn change(
        &mut self,
        business: BusinessId,
        change: impl FnOnce(&mut Queue<Waiting, PredictedStock>) -> bool,
    ) -> bool {
        let Some(business_queue) = self.queues_by_business.get_mut(&business) else {
            return false;
        };
        let became_ready = change(&mut business_queue.queue) && !business_queue.ready;
        if became_ready {
            business_queue.ready = true;
            self.ready.push_back(business);
        }
        if business_queue.is_removable() {
            self.queues_by_business.remove(&business);
        }
        became_ready
    }

    /// Takes a batch of the business whose turn it is.
    fn take(&mut self) -> Option<(BusinessId, TakenBatch<Waiting, PredictedStock>)> {
        while let Some(business) = self.ready.pop_front() {
            let Some(business_queue) = self.queues_by_business.get_mut(&business) else {
                continue;
            };
            let before = business_queue.queue.len();
            // Commands whose clients have gone away are dropped undecided.
            let taken = business_queue
                .queue
                .take(MAX_COMMANDS_PER_BATCH, |waiting| waiting.reply.is_closed());
            self.waiting -= before - business_queue.queue.len();
            metrics::gauge!("tradeline_desk_waiting").set(self.waiting as f64);
            business_queue.ready = taken.has_more;
            if business_queue.ready {
                self.ready.push_back(business);
            }
            if taken.batch.is_empty() {
                if business_queue.is_removable() {
                    self.queues_by_business.remove(&business);
                }
                continue;
            }
            self.wake_if_ready();
            return Some((business, taken));
        }
        None
    }
}

fn product_predictions(predicted: Vec<(SharedRow, PredictedStock)>) -> Predictions {
    let products = predicted
        .into_iter()
        .filter_map(|(row, predict)| match row {
            SharedRow::Product(product) => Some((product, predict)),
            SharedRow::Customer(_) | SharedRow::Key(_) => None,
        });
    products.collect()
}

/// The rows of a batch in flight. Dropped when the batch has ended.
#[derive(Debug)]
pub(super) struct InFlight {
    queues: Arc<Queues>,
    pub(super) business: BusinessId,
    number: u64,
    /// The rows that no other batch may have.
    rows: Vec<SharedRow>,
    /// The rows that pipelined batches may have.
    predicted: Vec<SharedRow>,
    /// False from the second attempt on. The pipelined batches behind this one must then come after it, and no other
    /// batch before them.
    may_predict: bool,
    is_pipelined: Predictions,
    /// For pipelined batches. Closed when the batch has ended.
    progress: watch::Sender<Progress>,
}

impl InFlight {
    /// Takes the predictions that this batch follows. Later calls return none: a batch is pipelined in its first
    /// attempt only.
    pub(super) fn take_predictions(&mut self) -> Predictions {
        std::mem::take(&mut self.is_pipelined)
    }

    /// Predicts what the batch leaves of the products that it has sold, so that commands waiting for them may be
    /// pipelined. `is_locked` says whether the batch has locked these rows.
    pub(super) fn predict(&mut self, on_hand: BTreeMap<ProductId, i64>, is_locked: bool) {
        let mut state = self.queues.state();
        let trusted = |business_queue: &BusinessQueue| {
            self.may_predict && business_queue.back_off.is_over(Instant::now())
        };
        if !state
            .queues_by_business
            .get(&self.business)
            .is_some_and(trusted)
        {
            return;
        }
        if is_locked {
            self.reach(Stage::Locked);
        }
        self.predicted = on_hand.keys().copied().map(SharedRow::Product).collect();
        self.rows.retain(
            |row| !matches!(row, SharedRow::Product(product) if on_hand.contains_key(product)),
        );
        let predictions = on_hand.into_iter().map(|(product, on_hand)| {
            let batch = self.progress.subscribe();
            (
                SharedRow::Product(product),
                PredictedStock { on_hand, batch },
            )
        });
        state.change(self.business, |queue| {
            queue.predict(self.number, predictions)
        });
        state.wake_if_ready();
    }

    /// Withdraws the predictions. The batch starts again and predicts nothing from then on.
    pub(super) fn withdraw(&mut self) {
        self.may_predict = false;
        self.reach(Stage::Withdrawn);
        let mut state = self.queues.state();
        state.change(self.business, |queue| {
            queue.withdraw(self.number, &self.predicted);
            false
        });
        self.rows.append(&mut self.predicted);
    }

    /// Records the row versions of the stock that the batch has written.
    pub(super) fn wrote(&self, versions: Versions) {
        self.progress
            .send_modify(|progress| progress.wrote(versions));
    }

    fn reach(&self, stage: Stage) {
        self.progress.send_modify(|progress| progress.stage = stage);
    }

    /// Starts the back-off: the stock differed from the predicted stock.
    pub(super) fn back_off(&mut self) {
        metrics::counter!("tradeline_desk_pipelined_failed_total").increment(1);
        let mut state = self.queues.state();
        if let Some(business_queue) = state.queues_by_business.get_mut(&self.business) {
            business_queue.back_off.begin(Instant::now());
        }
    }

    /// Releases the rows. All are locked and the commit is about to be sent, so that waiting commands may start.
    pub(super) fn release(&mut self) {
        if self.may_predict {
            self.reach(Stage::Locked);
        }
        let mut state = self.queues.state();
        state.change(self.business, |queue| queue.release(&self.rows));
        self.rows.clear();
        state.wake_if_ready();
    }
}

impl Drop for InFlight {
    /// Releases all rows and forgets the predictions, then wakes a lane for waiting commands.
    fn drop(&mut self) {
        let mut state = self.queues.state();
        state.change(self.business, |queue| {
            let forgotten = queue.forget(self.number, &self.predicted);
            queue.release(&self.rows) || forgotten
        });
        state.wake_if_ready();
    }
}
