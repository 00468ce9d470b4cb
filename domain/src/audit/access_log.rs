//! Entries of the trail that no change brings with it: a refused access, the use of a key. They are written off the
//! request's path, by one task, from a bounded queue: when more comes than can be written, entries are dropped and
//! counted, and no request waits.
//!
//! Nobody can push others' entries out: a refusal that comes again within a minute is only counted, in one entry at the
//! minute's end, and the entries of one business have a bound of their own.

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

/// How many entries wait at most.
const WAITING: usize = 1024;
/// How many are written in one transaction.
const AT_ONCE: usize = 64;
/// How far apart transactions are: a caller that is refused all the time must not keep the database busy.
const PAUSE: Duration = Duration::from_millis(50);
/// How often is looked for refusals whose minute is over, and for keys that may be made up.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a stopping service waits for the last entries.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// The method.
    pub method: String,
    /// The pattern of the path.
    pub path: String,
    /// Why: the code that the client got.
    pub code: &'static str,
}

/// A credential that is good no more. Who came with it is no caller, and yet known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevokedCredential {
    /// A token of this user that a change of the user has made void.
    Token(BusinessId, UserId),
    /// Text that has the form of a key of this business, as its hash. It was one, or never.
    Key(BusinessId, [u8; 32]),
}

impl RevokedCredential {
    /// A key that does not stand.
    #[must_use]
    pub fn key(business: BusinessId, text: &str) -> Self {
        Self::Key(business, secret::hash(text))
    }
}

/// Who was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum By {
    /// A caller, with its role.
    Caller(UserId, &'static str),
    VoidToken(UserId),
    VoidKey([u8; 32]),
}

/// A refusal, and whose it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Refused {
    business: BusinessId,
    by: By,
    refusal: Refusal,
}

#[derive(Debug)]
enum Notice {
    Entry(Entry),
    /// Everything before this is written.
    Flush(oneshot::Sender<()>),
}

#[derive(Debug)]
enum Entry {
    /// So many times, the last time in this request.
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

    /// The key that is good no more, if it ever was.
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

/// Takes entries.
#[derive(Debug)]
pub struct AccessLog {
    inbox: mpsc::Sender<Notice>,
    tally: Arc<RefusalCounter>,
}

impl AccessLog {
    /// Starts the task that writes. It ends when the journal is dropped.
    #[must_use]
    pub fn start(database: Database) -> Self {
        let (inbox, notices) = mpsc::channel(WAITING);
        let tally = Arc::new(RefusalCounter::default());
        tokio::spawn(write_all(database, notices, Arc::clone(&tally)));
        Self { inbox, tally }
    }

    /// The caller was refused something.
    pub fn refused(&self, caller: &Caller, refusal: Refusal) {
        let role = audit::role_name(caller.authority.role());
        let refused = Refused {
            business: caller.business_id,
            by: By::Caller(caller.user_id, role),
            refusal,
        };
        self.note_refusal(refused, &caller.request_id);
    }

    /// Someone was refused for a credential that is good no more. Of a key that never was one, nothing is written.
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
        if self.tally.repeats(&refused, request_id) {
            return;
        }
        if self.send(Entry::Refused(refused.clone(), 1, request_id.to_owned())) {
            self.tally.remember(refused);
        }
    }

    /// The caller, who came with a key, has used it.
    pub fn key_used(&self, caller: &Caller) {
        let (business, key) = (caller.business_id, ApiKeyId(caller.user_id.0));
        // What could not be sent is left out: a key that is in use comes again.
        if self.tally.is_new_use(business, key) && !self.send(Entry::KeyUsed(caller.clone())) {
            self.tally.forget_use(business, key);
        }
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

    /// Whether there was room for it. What nothing proves gets less room, and is no loss.
    fn send(&self, entry: Entry) -> bool {
        let (business, proven) = (entry.business(), entry.void_key().is_none());
        let sent = self.tally.may_wait(business, proven)
            && match self.inbox.try_send(Notice::Entry(entry)) {
                Ok(()) => true,
                Err(_full) => {
                    self.tally.no_longer_wait(business);
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
    tally: Arc<RefusalCounter>,
) {
    let mut batch = Vec::with_capacity(AT_ONCE);
    // Keys that may be made up, for which is looked together: a flood of them costs a look a second.
    let (mut unproven, mut looked) = (Vec::new(), Instant::now());
    loop {
        let received = notices.recv_many(&mut batch, AT_ONCE);
        if let Ok(0) = tokio::time::timeout(LOOK_EVERY, received).await {
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
        if all || looked.elapsed() >= LOOK_EVERY {
            entries.append(&mut unproven);
            looked = Instant::now();
        }
        for entry in &entries {
            tally.no_longer_wait(entry.business());
        }
        let repeated = tally.take_repeated(all).into_iter();
        entries.extend(repeated.map(|(refused, times, id)| Entry::Refused(refused, times, id)));
        write_each(&database, entries).await;
        if flushes.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
        for done in flushes {
            // Who waited may have lost patience.
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
    // Keys by id, as every process locks them.
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
