//! Entries of the trail that no change brings with it: a refused access, the use of a key. They are written off the
//! request's path, by one task, from a bounded queue: when more comes than can be written, entries are dropped and
//! counted, and no request waits.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use entity::{ApiKeyId, BusinessId};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use crate::audit::{self, Change};
use crate::retry::retry;
use crate::{Caller, Database, Error, Transaction, api_keys};

/// How many entries wait at most.
const WAITING: usize = 1024;
/// How many are written in one transaction.
const AT_ONCE: usize = 64;
/// How far apart transactions are: a caller that is refused all the time must not keep the database busy.
const PAUSE: Duration = Duration::from_millis(50);
/// Of how many keys it is remembered when their use was last written down.
const REMEMBERED: usize = 10_000;
/// How long a stopping service waits for the last entries.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The method.
    pub method: String,
    /// The pattern of the path.
    pub path: String,
    /// Why: the code that the client got.
    pub code: &'static str,
}

/// Takes entries.
#[derive(Debug)]
pub struct Journal {
    inbox: mpsc::Sender<Notice>,
    noted: Mutex<HashMap<(BusinessId, ApiKeyId), Instant>>,
}

#[derive(Debug)]
enum Notice {
    Refused(Caller, Refusal),
    KeyUsed(Caller),
    /// Everything before this is written.
    Flush(oneshot::Sender<()>),
}

impl Journal {
    /// Starts the task that writes. It ends when the journal is dropped.
    #[must_use]
    pub fn start(database: Database) -> Self {
        let (inbox, notices) = mpsc::channel(WAITING);
        tokio::spawn(write_all(database, notices));
        Self {
            inbox,
            noted: Mutex::default(),
        }
    }

    /// The caller was refused something.
    pub fn refused(&self, caller: &Caller, refusal: Refusal) {
        self.send(Notice::Refused(caller.clone(), refusal));
    }

    /// The caller, who came with a key, has used it.
    pub fn key_used(&self, caller: &Caller) {
        let name = (caller.business_id, ApiKeyId(caller.user_id.0));
        let every = Duration::from_secs(api_keys::NOTE_EVERY.unsigned_abs());
        {
            // An entry that is dropped below is left out: a key that is in use comes again in a minute.
            let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            if noted.get(&name).is_some_and(|at| at.elapsed() < every) {
                return;
            }
            if noted.len() >= REMEMBERED {
                // What is forgotten is asked of the database once more, which knows.
                noted.clear();
            }
            noted.insert(name, Instant::now());
        }
        self.send(Notice::KeyUsed(caller.clone()));
    }

    /// Waits until all entries up to now are written, but not for ever.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        let flush = async {
            if self.inbox.send(Notice::Flush(done)).await.is_ok() {
                // Ended without a word, the task has nothing more to write.
                let _ = wait.await;
            }
        };
        if tokio::time::timeout(PATIENCE, flush).await.is_err() {
            tracing::warn!("the last entries of the audit trail are not written");
        }
    }

    fn send(&self, notice: Notice) {
        if self.inbox.try_send(notice).is_err() {
            dropped(1);
        }
    }
}

fn dropped(count: usize) {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    metrics::counter!("tradeline_audit_dropped_total").increment(count);
}

async fn write_all(database: Database, mut notices: mpsc::Receiver<Notice>) {
    let mut batch = Vec::with_capacity(AT_ONCE);
    while notices.recv_many(&mut batch, AT_ONCE).await > 0 {
        let mut flushes = Vec::new();
        let mut of_business: HashMap<BusinessId, Vec<Notice>> = HashMap::new();
        for notice in batch.drain(..) {
            match notice {
                Notice::Flush(done) => flushes.push(done),
                Notice::Refused(ref caller, _) | Notice::KeyUsed(ref caller) => {
                    let business = caller.business_id;
                    of_business.entry(business).or_default().push(notice);
                }
            }
        }
        for (business, notices) in of_business {
            if let Err(error) = write(&database, business, &notices).await {
                tracing::warn!(%error, %business, "entries of the audit trail are lost");
                dropped(notices.len());
            }
        }
        if flushes.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
        for done in flushes {
            // Who waited may have lost patience.
            let _ = done.send(());
        }
    }
}

async fn write(database: &Database, business: BusinessId, notices: &[Notice]) -> Result<(), Error> {
    retry(|| async {
        let transaction = database.begin(business).await?;
        for notice in notices {
            write_one(&transaction, notice).await?;
        }
        transaction.commit().await
    })
    .await
}

async fn write_one(transaction: &Transaction, notice: &Notice) -> Result<(), Error> {
    match notice {
        Notice::KeyUsed(caller) => api_keys::note_use(transaction, caller).await,
        Notice::Refused(caller, refusal) => {
            let change = Change {
                action: "access.refused",
                entity_type: "caller",
                entity_id: caller.user_id.0,
                before: None,
                after: json!({
                    "method": refusal.method,
                    "path": refusal.path,
                    "code": refusal.code,
                }),
            };
            audit::record(transaction, caller, change).await
        }
        Notice::Flush(_) => Ok(()),
    }
}
