//! The queue: who is served next, and by which transaction.
//!
//! Purchases of a business wait in order of arrival. A few lanes, each with a connection of its own, take turns at the
//! businesses that have some waiting; a lane takes all that wait there, up to [`BATCH`]. No timer gathers: alone, a
//! purchase is a batch of one.
//!
//! Order: while a lane is between taking a batch and holding its row locks, no other lane may take from the same
//! business. So of two batches that want the same rows the earlier has them first, yet the later one can already run
//! while the earlier writes and commits.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use entity::{BusinessId, OrderId};
use tokio::sync::{Notify, oneshot};

use super::Command;
use super::batch::{self, Job};
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
    work: Notify,
}

#[derive(Debug, Default)]
struct State {
    queues: HashMap<BusinessId, Queue>,
    /// The businesses that a lane may take from now, each once, in turn.
    ready: VecDeque<BusinessId>,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// A lane has taken a batch and does not hold its locks yet.
    entered: bool,
}

#[derive(Debug)]
struct Waiting {
    job: Job,
    reply: oneshot::Sender<Result<Answered, Error>>,
}

impl Desk {
    /// Opens the desk with that many lanes, which run on the current runtime until it ends.
    #[must_use]
    pub fn open(database: &Database, lanes: usize) -> Arc<Self> {
        let desk = Arc::new(Self::default());
        for _ in 0..lanes {
            let (desk, database) = (Arc::clone(&desk), database.another(1));
            tokio::spawn(async move {
                // A panic is a bug, and costs the batch that met it: its callers are told that the outcome is not
                // known. The lane goes on with the next.
                while tokio::spawn(Arc::clone(&desk).lane(database.clone()))
                    .await
                    .is_err()
                {
                    tracing::error!("a lane of the purchase desk panicked");
                }
            });
        }
        desk
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
        // The id is chosen once and kept through every attempt, so that an attempt whose outcome was not heard can be
        // asked for.
        let job = Job {
            command,
            order_id: OrderId::new(),
        };
        self.enqueue(business, Waiting { job, reply })?;
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
            self.work.notify_one();
        }
        Ok(())
    }

    async fn lane(self: Arc<Self>, database: Database) {
        loop {
            let (business, waiting, door) = self.next().await;
            let started = Instant::now();
            let (jobs, replies): (Vec<Job>, Vec<_>) =
                waiting.into_iter().map(|one| (one.job, one.reply)).unzip();
            metrics::histogram!("tradeline_desk_batch_size").record(jobs.len() as f64);
            let answers = batch::sell(&database, business, jobs, door).await;
            metrics::histogram!("tradeline_desk_batch_seconds").record(started.elapsed());
            for (reply, answer) in replies.into_iter().zip(answers) {
                // Whoever is gone does not miss it.
                let _ = reply.send(answer);
            }
        }
    }

    /// Waits for a business whose turn it is and takes its batch.
    async fn next(self: &Arc<Self>) -> (BusinessId, Vec<Waiting>, Door) {
        loop {
            if let Some(taken) = self.take() {
                return taken;
            }
            self.work.notified().await;
        }
    }

    fn take(self: &Arc<Self>) -> Option<(BusinessId, Vec<Waiting>, Door)> {
        let mut state = self.state();
        let state = &mut *state;
        while let Some(business) = state.ready.pop_front() {
            let Some(queue) = state.queues.get_mut(&business) else {
                continue;
            };
            let mut batch = Vec::with_capacity(queue.waiting.len().min(BATCH));
            while batch.len() < BATCH {
                let Some(waiting) = queue.waiting.pop_front() else {
                    break;
                };
                state.waiting -= 1;
                // Its client has given up: it is dropped before it is decided.
                if !waiting.reply.is_closed() {
                    batch.push(waiting);
                }
            }
            metrics::gauge!("tradeline_desk_waiting").set(state.waiting as f64);
            if batch.is_empty() {
                state.queues.remove(&business);
                continue;
            }
            queue.entered = true;
            if !state.ready.is_empty() {
                self.work.notify_one();
            }
            let door = Door {
                desk: Arc::clone(self),
                business,
            };
            return Some((business, batch, door));
        }
        None
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under this lock; if it did, the queues would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
            self.desk.work.notify_one();
        }
    }
}
