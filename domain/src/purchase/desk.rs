//! The queue: who is served next, and by which transaction.
//!
//! Purchases of a business wait in order of arrival. A few lanes, each with a connection of its own, take turns at the
//! businesses that have some waiting; a lane takes all that wait there, up to [`BATCH`]. No timer gathers: alone, a
//! purchase is a batch of one.
//!
//! Order: while a lane is between taking a batch and holding its row locks, no other lane may take from the same
//! business. So of two batches that want the same rows the earlier has them first, yet the later one can already run
//! while the earlier writes and commits.
//!
//! A lane lives on the runtime that opened it. One that is idle on the thread where a purchase arrives is woken before
//! others: a purchase that comes alone never changes threads.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::ThreadId;
use std::time::Instant;

use entity::BusinessId;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::Command;
use super::batch;
use crate::idempotency::Answered;
use crate::{Database, Error};

/// The most purchases in one transaction.
pub const BATCH: usize = 64;

/// The most purchases that wait in one business. Beyond it a purchase is refused at once.
pub const WAITING: usize = 1024;

/// The most purchases that wait in all businesses together, which bounds the memory that waiting takes.
const WAITING_IN_ALL: usize = 8 * WAITING;

/// Where purchases queue.
#[derive(Debug, Default)]
pub struct Desk {
    state: Mutex<State>,
    lanes: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct State {
    queues: HashMap<BusinessId, Queue>,
    /// The businesses that a lane may take from now, each once, in turn.
    ready: VecDeque<BusinessId>,
    waiting: usize,
    /// The lanes that have nothing to do, the last to have become so last.
    idle: Vec<Idle>,
    /// Lanes that were opened under an earlier number end after their batch.
    generation: u32,
}

#[derive(Debug)]
struct Idle {
    thread: ThreadId,
    /// Gone when the lane is, with a thread that died: such a one is passed over.
    wake: Weak<Notify>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// A lane has taken a batch and does not hold its locks yet.
    entered: bool,
}

#[derive(Debug)]
struct Waiting {
    command: Command,
    reply: oneshot::Sender<Result<Answered, Error>>,
}

impl Desk {
    /// A desk with that many lanes on the current runtime.
    #[must_use]
    pub fn open(database: &Database, lanes: usize) -> Arc<Self> {
        let desk = Arc::new(Self::default());
        desk.add_lanes(database, lanes);
        desk
    }

    /// Adds lanes that run on the current runtime, each with a connection of its own.
    pub fn add_lanes(self: &Arc<Self>, database: &Database, lanes: usize) {
        let generation = self.state().generation;
        for _ in 0..lanes {
            let (desk, database) = (Arc::clone(self), database.another(1));
            let lane = tokio::spawn(async move {
                // A panic is a bug, and costs the batch that met it: its callers are told that the outcome is not
                // known. The lane goes on with the next.
                let lane = || tokio::spawn(Arc::clone(&desk).lane(database.clone(), generation));
                while lane().await.is_err_and(|ended| ended.is_panic()) {
                    tracing::error!("a lane of the purchase desk panicked");
                }
            });
            self.lanes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(lane);
        }
    }

    /// Opens lanes on the current runtime and ends all earlier ones, each after its batch. For when the runtimes that
    /// those live on are about to end: nothing that waits is lost.
    pub async fn hand_over(self: &Arc<Self>, database: &Database, lanes: usize) {
        let earlier =
            std::mem::take(&mut *self.lanes.lock().unwrap_or_else(PoisonError::into_inner));
        {
            let mut state = self.state();
            state.generation += 1;
            for wake in state.idle.drain(..).filter_map(|lane| lane.wake.upgrade()) {
                wake.notify_one();
            }
        }
        self.add_lanes(database, lanes);
        for lane in earlier {
            // It has ended, with its runtime if not by itself.
            let _ = lane.await;
        }
    }

    /// Buys. Waits for its turn, in order of arrival within the business.
    ///
    /// A caller that goes away before the turn comes buys nothing; after that the purchase is made, or not, without it.
    ///
    /// # Errors
    /// The refusals of [`super::decision::Books::decide`]; [`Error::IdempotencyKeyReused`]; [`Error::Overloaded`] at once
    /// when too many wait; [`Error::DatabaseUnavailable`]; [`Error::OutcomeUnknown`].
    pub async fn purchase(&self, command: Command) -> Result<Answered, Error> {
        let (reply, answer) = oneshot::channel();
        let business = command.caller.business_id;
        self.enqueue(business, Waiting { command, reply })?;
        answer.await.unwrap_or(Err(Error::OutcomeUnknown))
    }

    fn enqueue(&self, business: BusinessId, waiting: Waiting) -> Result<(), Error> {
        let mut state = self.state();
        let state = &mut *state;
        if state.waiting >= WAITING_IN_ALL {
            return Err(Error::Overloaded);
        }
        let queue = state.queues.entry(business).or_default();
        if queue.waiting.len() >= WAITING {
            return Err(Error::Overloaded);
        }
        queue.waiting.push_back(waiting);
        state.waiting += 1;
        metrics::gauge!("tradeline_desk_waiting").set(state.waiting as f64);
        if queue.waiting.len() == 1 && !queue.entered {
            state.ready.push_back(business);
            state.wake();
        }
        Ok(())
    }

    /// Serves until a later generation of lanes takes over.
    async fn lane(self: Arc<Self>, database: Database, generation: u32) {
        while let Some((business, waiting, door)) = self.next(generation).await {
            let started = Instant::now();
            let (jobs, replies): (Vec<Command>, Vec<_>) = waiting
                .into_iter()
                .map(|one| (one.command, one.reply))
                .unzip();
            metrics::histogram!("tradeline_desk_batch_size").record(jobs.len() as f64);
            let answers = batch::sell(&database, business, jobs, door).await;
            metrics::histogram!("tradeline_desk_batch_seconds").record(started.elapsed());
            for (reply, answer) in replies.into_iter().zip(answers) {
                // Whoever is gone does not miss it.
                let _ = reply.send(answer);
            }
        }
        database.close().await;
    }

    /// Waits for a business whose turn it is and takes its batch. `None` when the lane is to end.
    async fn next(self: &Arc<Self>, generation: u32) -> Option<(BusinessId, Vec<Waiting>, Door)> {
        loop {
            let wake = {
                let mut state = self.state();
                if state.generation != generation {
                    // What it was woken for is someone else's to do.
                    if !state.ready.is_empty() {
                        state.wake();
                    }
                    return None;
                }
                if let Some((business, batch)) = state.take() {
                    let desk = Arc::clone(self);
                    return Some((business, batch, Door { desk, business }));
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

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under this lock; if it did, the queues would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Wakes a lane, if one is idle: one of this thread, else the one that has rested least.
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

    /// Takes the batch of the business whose turn it is.
    fn take(&mut self) -> Option<(BusinessId, Vec<Waiting>)> {
        while let Some(business) = self.ready.pop_front() {
            let Some(queue) = self.queues.get_mut(&business) else {
                continue;
            };
            let mut batch = Vec::with_capacity(queue.waiting.len().min(BATCH));
            while batch.len() < BATCH {
                let Some(waiting) = queue.waiting.pop_front() else {
                    break;
                };
                self.waiting -= 1;
                // Its client has given up: it is dropped before it is decided.
                if !waiting.reply.is_closed() {
                    batch.push(waiting);
                }
            }
            metrics::gauge!("tradeline_desk_waiting").set(self.waiting as f64);
            if batch.is_empty() {
                self.queues.remove(&business);
                continue;
            }
            queue.entered = true;
            if !self.ready.is_empty() {
                self.wake();
            }
            return Some((business, batch));
        }
        None
    }
}

/// The right to lock rows for the earliest batch of a business. Dropped when the locks are held: the next may enter.
#[derive(Debug)]
pub(super) struct Door {
    desk: Arc<Desk>,
    business: BusinessId,
}

impl Drop for Door {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        let state = &mut *state;
        let Some(queue) = state.queues.get_mut(&self.business) else {
            return;
        };
        queue.entered = false;
        if queue.waiting.is_empty() {
            state.queues.remove(&self.business);
        } else {
            state.ready.push_back(self.business);
            state.wake();
        }
    }
}
