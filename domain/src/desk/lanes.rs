//! The lanes: workers that execute commands, one batch at a time.
//!
//! Commands of a business wait in its queue (`queues.rs`). Each lane has a database connection of its own. The lanes
//! serve the businesses with ready commands in turn. A lane takes all ready commands of one business, up to
//! [`MAX_COMMANDS_PER_BATCH`](super::MAX_COMMANDS_PER_BATCH). A single command is a batch of one and does not wait for
//! more.
//!
//! A lane runs on the runtime that opened it. An idle lane on the thread where a command arrives is woken first, so
//! that a single command does not change threads.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use entity::BusinessId;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::batch;
use super::command::Command;
use super::outcome::Executed;
use super::queues::{Queues, Waiting};
use crate::foundation::database::Session;
use crate::foundation::idempotency::Outcome;
use crate::{Database, Error};

/// The longest time for which commands gather behind a batch. A batch that waits for a row lock of another process
/// may take seconds.
const MAX_GATHERING_TIME: Duration = Duration::from_millis(20);

/// The queues and the lanes that serve them.
#[derive(Debug, Default)]
pub struct Desk {
    queues: Arc<Queues>,
    lanes: Mutex<Vec<JoinHandle<()>>>,
}

impl Desk {
    /// Opens a desk with `lanes` lanes on the current runtime.
    #[must_use]
    pub fn open(database: &Database, lanes: usize) -> Arc<Self> {
        let desk = Arc::new(Self::default());
        desk.add_lanes(database, lanes);
        desk
    }

    /// Adds lanes that run on the current runtime, each with a connection of its own.
    pub fn add_lanes(self: &Arc<Self>, database: &Database, lanes: usize) {
        let generation = self.queues.generation();
        for _ in 0..lanes {
            let (desk, database) = (Arc::clone(self), database.clone());
            let lane = tokio::spawn(async move {
                // A panic is a bug and costs the batch that met it: its callers get [`Error::OutcomeUnknown`]. The
                // lane is restarted for the next batch.
                let lane = || tokio::spawn(Arc::clone(&desk).lane(database.session(), generation));
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

    /// Opens lanes on the current runtime and ends all earlier lanes, each after its batch. Used when the runtimes of
    /// the earlier lanes are about to end. No queued command is lost.
    pub async fn hand_over(self: &Arc<Self>, database: &Database, lanes: usize) {
        let earlier =
            std::mem::take(&mut *self.lanes.lock().unwrap_or_else(PoisonError::into_inner));
        self.queues.next_generation();
        self.add_lanes(database, lanes);
        for lane in earlier {
            // The lane has ended, by itself or with its runtime.
            let _ = lane.await;
        }
    }

    /// Executes a command when its turn comes, in order of arrival within the business.
    ///
    /// A command whose caller goes away before its turn is dropped. After that it is executed or refused regardless.
    ///
    /// # Errors
    /// The refusals of [`super::decision`]; [`Error::IdempotencyKeyReused`]; [`Error::Overloaded`] at once
    /// when too many commands are queued; [`Error::DatabaseUnavailable`]; [`Error::OutcomeUnknown`].
    pub async fn execute(&self, command: Command) -> Result<Outcome<Executed>, Error> {
        let (reply, answer) = oneshot::channel();
        self.queues.push(Waiting { command, reply })?;
        answer.await.unwrap_or(Err(Error::OutcomeUnknown))
    }

    /// Executes batches until a later generation of lanes takes over.
    async fn lane(self: Arc<Self>, mut session: Session, generation: u32) {
        while let Some((in_flight, waiting)) = self.queues.next(generation).await {
            let started = Instant::now();
            let (commands, replies): (Vec<Command>, Vec<_>) = waiting
                .into_iter()
                .map(|one| (one.command, one.reply))
                .unzip();
            metrics::histogram!("tradeline_desk_batch_size").record(commands.len() as f64);
            let business = in_flight.business;
            let being_executed = BeingExecuted {
                queues: Arc::clone(&self.queues),
                business,
                count: commands.len(),
            };
            let mut executing = pin!(batch::execute(&mut session, business, commands, in_flight));
            let answers = match timeout(MAX_GATHERING_TIME, &mut executing).await {
                Ok(answers) => {
                    drop(being_executed);
                    answers
                }
                Err(_elapsed) => {
                    drop(being_executed);
                    self.queues.wake_if_ready();
                    executing.await
                }
            };
            metrics::histogram!("tradeline_desk_batch_seconds").record(started.elapsed());
            for (reply, answer) in replies.into_iter().zip(answers) {
                // A send fails when the caller has gone away; there is then no receiver to inform.
                let _ = reply.send(answer);
            }
        }
        session.close().await;
    }
}

/// A batch behind which other commands gather. Dropping it ends the gathering.
struct BeingExecuted {
    queues: Arc<Queues>,
    business: BusinessId,
    count: usize,
}

impl Drop for BeingExecuted {
    fn drop(&mut self) {
        self.queues.executed(self.business, self.count);
    }
}
