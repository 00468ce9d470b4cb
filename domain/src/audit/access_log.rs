//! The access log: audit entries of refused requests and of the use of API keys.
//!
//! One task writes them off the request path, from a bounded queue. When more entries arrive than can be written,
//! they are dropped and counted; no request waits. A batch is one transaction per business.
//!
//! No caller can displace the entries of others. A repeated refusal within a minute is only counted, and gives one
//! entry at the end of the minute. Each business has a limit of its own in the queue.

mod api_key_use;
mod refusal_counter;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use entity::{ApiKeyId, BusinessId, UserId};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::audit::{self, Action, Actor, Change};
use crate::foundation::retry::retry;
use crate::foundation::secret;
use crate::{Caller, Database, Error, Transaction};

use refusal_counter::RefusalCounter;

/// The most entries in the queue.
const MAX_QUEUED: usize = 1024;
/// The most entries that are taken from the queue at once.
const MAX_BATCH: usize = 64;
/// The time between two batches, so that a client that is always refused does not keep the database busy.
const BATCH_INTERVAL: Duration = Duration::from_millis(50);
/// The time between two checks for counted refusals whose minute is over, and for unverified keys.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The longest time that a stopping service waits for the last entries.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// The HTTP method of the request.
    pub method: String,
    /// The path's pattern, without the values of its parameters.
    pub path: String,
    /// The error code that the client received.
    pub code: &'static str,
}

/// A credential that is no longer valid. Its owner is not a caller, but is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevokedCredential {
    /// A token of this user that was revoked by a change of the user.
    Token(BusinessId, UserId),
    /// The hash of a text with the form of an API key of this business. The key was revoked, or never existed.
    Key(BusinessId, [u8; 32]),
}

impl RevokedCredential {
    /// An API key that is not valid.
    #[must_use]
    pub fn key(business: BusinessId, text: &str) -> Self {
        Self::Key(business, secret::hash(text))
    }
}

/// The originator of a refused request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum By {
    /// A caller, with their role.
    Caller(UserId, &'static str),
    VoidToken(UserId),
    VoidKey([u8; 32]),
}

/// A refusal with its business and originator.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Refused {
    business: BusinessId,
    by: By,
    refusal: Refusal,
}

#[derive(Debug)]
enum Notice {
    Entry(Entry),
    /// Answered once all earlier entries are written.
    Flush(oneshot::Sender<()>),
}

#[derive(Debug)]
enum Entry {
    /// The number of refusals, and the id of the last of their requests.
    Refused(Refused, u32, String),
    KeyUsed(Caller),
}

impl Entry {
    fn business(&self) -> BusinessId {
        match self {
            Self::Refused(refused, ..) => refused.business,
            Self::KeyUsed(caller) => caller.business_id,
        }
    }

    /// The hash of an invalid key, which may never have existed.
    fn void_key(&self) -> Option<[u8; 32]> {
        match self {
            Self::Refused(
                Refused {
                    by: By::VoidKey(hash),
                    ..
                },
                ..,
            ) => Some(*hash),
            Self::Refused(..) | Self::KeyUsed(_) => None,
        }
    }

    fn user_of_key(&self) -> Option<&Caller> {
        match self {
            Self::KeyUsed(caller) => Some(caller),
            Self::Refused(..) => None,
        }
    }
}

/// Accepts entries for the access log.
#[derive(Debug)]
pub struct AccessLog {
    inbox: mpsc::Sender<Notice>,
    counter: Arc<RefusalCounter>,
}

impl AccessLog {
    /// Starts the task that writes. It ends when the access log is dropped.
    #[must_use]
    pub fn start(database: Database) -> Self {
        let (inbox, notices) = mpsc::channel(MAX_QUEUED);
        let counter = Arc::new(RefusalCounter::default());
        tokio::spawn(write_all(database, notices, Arc::clone(&counter)));
        Self { inbox, counter }
    }

    /// Records that a caller was refused.
    pub fn refused(&self, caller: &Caller, refusal: Refusal) {
        let role = audit::role_name(caller.authority.role());
        let refused = Refused {
            business: caller.business_id,
            by: By::Caller(caller.user_id, role),
            refusal,
        };
        self.note_refusal(refused, &caller.request_id);
    }

    /// Records a refusal of an invalid credential. Nothing is written for a key that never existed.
    pub fn refused_void(&self, void: RevokedCredential, request_id: &str, refusal: Refusal) {
        let (business, by) = match void {
            RevokedCredential::Token(business, user) => (business, By::VoidToken(user)),
            RevokedCredential::Key(business, hash) => (business, By::VoidKey(hash)),
        };
        let refused = Refused {
            business,
            by,
            refusal,
        };
        self.note_refusal(refused, request_id);
    }

    fn note_refusal(&self, refused: Refused, request_id: &str) {
        if self.counter.repeats(&refused, request_id) {
            return;
        }
        if self.send(Entry::Refused(refused.clone(), 1, request_id.to_owned())) {
            self.counter.remember(refused);
        }
    }

    /// Records that a caller has used their API key.
    pub fn key_used(&self, caller: &Caller) {
        let (business, key) = (caller.business_id, ApiKeyId(caller.user_id.0));
        // An entry that was not accepted is left out: a key in use comes again.
        if self.counter.is_new_use(business, key) && !self.send(Entry::KeyUsed(caller.clone())) {
            self.counter.forget_use(business, key);
        }
    }

    /// Waits until all entries so far are written, for a limited time.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        let flush = async {
            if self.inbox.send(Notice::Flush(done)).await.is_ok() {
                // If the task has ended, it has nothing left to write.
                let _ = wait.await;
            }
        };
        if tokio::time::timeout(FLUSH_TIMEOUT, flush).await.is_err() {
            tracing::warn!("the last entries of the audit trail are not written");
        }
    }

    /// Queues an entry; returns false if the queue has no room. Entries for unverified keys get less room, and their
    /// loss is not counted.
    fn send(&self, entry: Entry) -> bool {
        let (business, proven) = (entry.business(), entry.void_key().is_none());
        let sent = self.counter.may_wait(business, proven)
            && match self.inbox.try_send(Notice::Entry(entry)) {
                Ok(()) => true,
                Err(_full) => {
                    self.counter.no_longer_wait(business);
                    false
                }
            };
        if !sent && proven {
            dropped(1);
        }
        sent
    }
}

fn dropped(count: usize) {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    metrics::counter!("tradeline_audit_dropped_total").increment(count);
}

async fn write_all(
    database: Database,
    mut notices: mpsc::Receiver<Notice>,
    counter: Arc<RefusalCounter>,
) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    // Entries for unverified keys are looked up together, so that a flood of them costs one query a second.
    let (mut unproven, mut checked_at) = (Vec::new(), Instant::now());
    loop {
        let received = notices.recv_many(&mut batch, MAX_BATCH);
        if let Ok(0) = tokio::time::timeout(CHECK_INTERVAL, received).await {
            return;
        }
        let (mut entries, mut flushes) = (Vec::new(), Vec::new());
        for notice in batch.drain(..) {
            match notice {
                Notice::Flush(done) => flushes.push(done),
                Notice::Entry(entry) if entry.void_key().is_some() => unproven.push(entry),
                Notice::Entry(entry) => entries.push(entry),
            }
        }
        let all = !flushes.is_empty();
        if all || checked_at.elapsed() >= CHECK_INTERVAL {
            entries.append(&mut unproven);
            checked_at = Instant::now();
        }
        for entry in &entries {
            counter.no_longer_wait(entry.business());
        }
        let repeated = counter.take_repeated(all).into_iter();
        entries.extend(repeated.map(|(refused, times, id)| Entry::Refused(refused, times, id)));
        write_each(&database, entries).await;
        if flushes.is_empty() {
            tokio::time::sleep(BATCH_INTERVAL).await;
        }
        for done in flushes {
            // The receiver may have timed out.
            let _ = done.send(());
        }
    }
}

/// Writes the entries of each business in a transaction of its own.
async fn write_each(database: &Database, entries: Vec<Entry>) {
    let mut of_business: HashMap<BusinessId, Vec<Entry>> = HashMap::new();
    for entry in entries {
        of_business.entry(entry.business()).or_default().push(entry);
    }
    for (business, entries) in of_business {
        if let Err(error) = write(database, business, &entries).await {
            tracing::warn!(%error, %business, "entries of the audit trail are lost");
            dropped(entries.len());
        }
    }
}

async fn write(database: &Database, business: BusinessId, entries: &[Entry]) -> Result<(), Error> {
    let hashes: HashSet<[u8; 32]> = entries.iter().filter_map(Entry::void_key).collect();
    // Locks keys by id, as every process does.
    let mut used: Vec<&Caller> = entries.iter().filter_map(Entry::user_of_key).collect();
    used.sort_unstable_by_key(|caller| caller.user_id.0);
    retry(|| async {
        let transaction = database.begin(business).await?;
        let revoked = match hashes.is_empty() {
            true => HashMap::new(),
            false => api_key_use::revoked(&transaction, business, &hashes).await?,
        };
        for entry in entries {
            if let Entry::Refused(refused, times, request_id) = entry {
                write_refusal(&transaction, refused, *times, request_id, &revoked).await?;
            }
        }
        for caller in &used {
            api_key_use::note_use(&transaction, caller).await?;
        }
        transaction.commit().await
    })
    .await
}

async fn write_refusal(
    transaction: &Transaction,
    refused: &Refused,
    times: u32,
    request_id: &str,
    revoked: &HashMap<[u8; 32], ApiKeyId>,
) -> Result<(), Error> {
    let (role, entity_type, id): (_, _, Uuid) = match &refused.by {
        By::Caller(user, role) => (*role, "caller", user.0),
        By::VoidToken(user) => (audit::NOBODY, "user", user.0),
        By::VoidKey(hash) => match revoked.get(hash) {
            Some(key) => (audit::NOBODY, "api_key", key.0),
            None => return Ok(()),
        },
    };
    let Refusal { method, path, code } = &refused.refusal;
    let mut after = json!({"method": method, "path": path, "code": code});
    if times > 1 {
        after["times"] = times.into();
    }
    let actor = Actor {
        business_id: refused.business,
        user_id: UserId(id),
        role,
        request_id,
    };
    let change = Change {
        action: Action::AccessRefused,
        entity_type,
        entity_id: id,
        before: None,
        after,
    };
    audit::record_as(transaction, actor, change).await
}
