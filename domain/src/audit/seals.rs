//! Seals of the audit entries: a changed, removed or inserted entry is found by `tradeline verify`.
//!
//! The entries of a business are sealed in batches, one after another, off the request path. A seal is the SHA-256 of
//! the previous seal, of its own position, and of its entries in order. Each seal therefore covers all entries before
//! it.
//!
//! The order is that of the transactions' numbers, and of the ids within one transaction. It need not be the order of
//! time. No entry may be inserted before a sealed one, although ids are made long before their commit and commits
//! happen in any order.
//!
//! An entry has the number of the transaction that wrote it, as the server assigns it (`pg_current_xact_id()`, a
//! default that the service's role cannot override). A batch is read in one statement, from one snapshot. It takes
//! only numbers below the snapshot's `xmin`, the lowest number of all transactions that were still open. Therefore
//!
//! - nothing can be inserted before a seal: later writers have a number of `xmin` or above. A transaction gets its
//!   number at its first write, and numbers only increase;
//! - nothing is left out: every transaction below `xmin` has ended, and the snapshot sees what it has committed. A
//!   batch begins right after the last entry of the previous seal, and skips none up to its own last one.
//!
//! A transaction that stays open delays the sealing and breaks nothing. An advisory lock permits one sealer per
//! business at a time; if two ran, the second would fail at the primary key. A batch costs two statements.
//!
//! Two cases are outside the seals:
//!
//! - A seal does not cover the numbers of the transactions. After a restore from a dump into a server whose numbers
//!   are lower, [`renumber`] lowers the restored numbers, and the seals stay valid. Until then [`seal`] refuses to
//!   continue.
//! - A chain without its newest seals is still a chain. To prove that none was removed, an operator must keep a copy
//!   of the newest seal elsewhere from time to time.

mod renumber;

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use entity::BusinessId;
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::foundation::retry::retry;
use crate::foundation::tenants;
use crate::{Database, Error};

pub use renumber::{Renumbered, renumber};

/// The most entries of one seal.
const MAX_ENTRIES_PER_SEAL: i64 = 1000;

/// The time between two checks of all businesses. Changes by this process are sealed sooner.
const FULL_CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// A seal is written only if its snapshot was taken this soon after the beginning of its transaction, which is its
/// `sealed_at`. So whatever it covers was committed before `sealed_at` plus this time ([`crate::audit::changes`]).
/// [`SEAL`] has the same time.
pub(crate) const MAX_DELAY: TimeDelta = TimeDelta::seconds(2);

/// The values in place of a seal before the first: a position before every entry, and a zero hash.
macro_rules! beginning {
    () => {
        "'-9223372036854775808'::bigint, '00000000-0000-0000-0000-000000000000'::uuid, decode(repeat('00', 32), 'hex')"
    };
}
pub(crate) use beginning;

/// The hash of a seal. `previous` is the previous hash, `number` and `sealed_at` are its own, `e` are its entries, of
/// business `$1`. Each entry is one JSON array, whose text PostgreSQL makes independently of all settings.
macro_rules! hash {
    ($previous:literal, $number:literal, $sealed_at:literal) => {
        concat!(
            "sha256(", $previous, " || convert_to(format('%s %s %s ', $1::uuid, ", $number, ",
                    extract(epoch FROM ", $sealed_at, ")), 'UTF8')
                || coalesce(string_agg(convert_to(jsonb_build_array(
                       e.id, e.action, e.entity_type, e.entity_id, e.actor_id, e.actor_role, e.request_id,
                       e.before, e.before IS NULL, e.after, e.after IS NULL, extract(epoch FROM e.created_at)
                   )::text, 'UTF8'), ''::bytea ORDER BY e.transaction_id, e.id), ''::bytea))"
        )
    };
}
pub(crate) use hash;

/// The number of the transaction that wrote a row, from its `xmin`. That has only the lower 32 bits; the number is
/// the latest one with these bits.
macro_rules! number_of_writer {
    ($xmin:literal) => {
        concat!(
            "(pg_snapshot_xmax(pg_current_snapshot())::text::bigint - mod(pg_snapshot_xmax(pg_current_snapshot())::text::bigint - ",
            $xmin,
            "::text::bigint, 4294967296))"
        )
    };
}
pub(crate) use number_of_writer;

/// Returns whether this transaction got the lock of the business. Also returns whether an entry has a higher number
/// than the transaction that wrote its row. Such an entry was restored from another server, and new entries could
/// come before it. The check covers the last sealed entry, the next batch, and the entry with the highest number.
/// Also returns whether any entry is not sealed yet.
///
/// Raw: it compares rows, locks an advisory lock and reads `xmin` in one statement.
const BEGIN: &str = concat!(
    "
WITH newest AS (
    SELECT last_transaction_id, last_event_id FROM audit_seals
     WHERE business_id = $1 ORDER BY number DESC LIMIT 1
), looked_at AS (
    (SELECT e.transaction_id, e.xmin AS writer FROM audit_events e
      WHERE e.business_id = $1
        AND (e.transaction_id, e.id) >= (coalesce((SELECT last_transaction_id FROM newest), '-9223372036854775808'),
                                         coalesce((SELECT last_event_id FROM newest),
                                                  '00000000-0000-0000-0000-000000000000'))
      ORDER BY e.transaction_id, e.id LIMIT $2 + 1)
     UNION ALL
    (SELECT e.transaction_id, e.xmin FROM audit_events e
      WHERE e.business_id = $1 ORDER BY e.transaction_id DESC LIMIT 1)
)
SELECT pg_try_advisory_xact_lock(hashtextextended('audit_seals ' || $1::uuid, 0)) AS alone,
       EXISTS (SELECT FROM looked_at WHERE transaction_id > ",
    number_of_writer!("writer"),
    ") AS foreign_numbers,
       EXISTS (SELECT FROM audit_events e
                WHERE e.business_id = $1
                  AND (e.transaction_id, e.id) > (coalesce((SELECT last_transaction_id FROM newest), '-9223372036854775808'),
                                                  coalesce((SELECT last_event_id FROM newest),
                                                           '00000000-0000-0000-0000-000000000000'))) AS unsealed"
);

/// Raw: it reads a batch, hashes it in the database and inserts its seal, from one snapshot.
const SEAL: &str = concat!(
    "
WITH newest AS (
    SELECT number, last_transaction_id, last_event_id, hash FROM audit_seals
     WHERE business_id = $1 ORDER BY number DESC LIMIT 1
), previous (number, last_transaction_id, last_event_id, hash) AS (
    SELECT * FROM newest
    UNION ALL
    SELECT 0, ",
    beginning!(),
    " WHERE NOT EXISTS (SELECT FROM newest)
), batch AS (
    SELECT * FROM audit_events
     WHERE business_id = $1
       AND (transaction_id, id) > ((SELECT last_transaction_id FROM previous), (SELECT last_event_id FROM previous))
       AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
       AND (SELECT clock_timestamp()) < now() + interval '2 seconds'
     ORDER BY transaction_id, id LIMIT $2
)
INSERT INTO audit_seals (business_id, number, last_transaction_id, last_event_id, events, hash)
SELECT $1, p.number + 1, max(e.transaction_id), (array_agg(e.id ORDER BY e.transaction_id DESC, e.id DESC))[1], count(*),
       ",
    hash!("p.hash", "p.number + 1", "now()"),
    "
  FROM previous p CROSS JOIN batch e
 GROUP BY p.number, p.hash
RETURNING events"
);

/// Seals the entries of a business that can be sealed, and returns their number. Returns 0 if another process is
/// sealing it.
///
/// # Errors
/// [`Error::DatabaseUnavailable`]; [`Error::Conflict`] when entries were restored from another server, until
/// [`renumber`] is run.
pub async fn seal(database: &Database, business: BusinessId) -> Result<i64, Error> {
    let sealed = seal_batches(database, business).await?;
    Ok(sealed.events)
}

/// The result of sealing.
struct Sealed {
    /// The number of entries that were sealed.
    events: i64,
    /// Whether any entry was not sealed before.
    unsealed: bool,
}

async fn seal_batches(database: &Database, business: BusinessId) -> Result<Sealed, Error> {
    let mut events = 0;
    loop {
        let batch = retry(|| seal_batch(database, business)).await?;
        events += batch.events;
        if batch.events < MAX_ENTRIES_PER_SEAL {
            let unsealed = batch.unsealed;
            return Ok(Sealed { events, unsealed });
        }
    }
}

async fn seal_batch(database: &Database, business: BusinessId) -> Result<Sealed, Error> {
    let transaction = database.begin(business).await?;
    let values = [business.0.into(), MAX_ENTRIES_PER_SEAL.into()];
    let begin = Statement::from_sql_and_values(DbBackend::Postgres, BEGIN, values.clone());
    let row = transaction.query_one_raw(begin).await?;
    let row = row.ok_or_else(|| Error::Bug("a lock returned nothing".into()))?;
    if row.try_get("", "foreign_numbers")? {
        return Err(Error::Conflict(
            "the audit trail was restored from a server whose transactions have higher numbers: run `tradeline renumber-audit` \
             as the owner of the tables",
        ));
    }
    let unsealed = row.try_get("", "unsealed")?;
    let nothing = Sealed {
        events: 0,
        unsealed,
    };
    if !unsealed || !row.try_get("", "alone")? {
        return Ok(nothing);
    }
    // A separate statement, whose snapshot is newer than the lock: it sees the seals of the previous sealer.
    let seal = Statement::from_sql_and_values(DbBackend::Postgres, SEAL, values);
    let Some(row) = transaction.query_one_raw(seal).await? else {
        transaction.rollback().await;
        return Ok(nothing);
    };
    let events = row.try_get("", "events")?;
    transaction.commit().await?;
    Ok(Sealed { events, unsealed })
}

/// Seals in the background.
#[derive(Debug, Default)]
pub struct Sealer {
    /// The businesses with possible changes since the last check.
    noted: Mutex<HashSet<BusinessId>>,
}

impl Sealer {
    /// Notes a possible change in a business. It is a hint: without it, the change is found within a minute.
    pub fn note(&self, business: BusinessId) {
        self.lock().insert(business);
    }

    /// Seals until it is dropped: the noted businesses after each interval `every`, and all of them from time to
    /// time.
    pub async fn run(&self, database: Database, every: Duration) {
        let mut all: Option<Instant> = None;
        loop {
            tokio::time::sleep(every).await;
            if all.is_none_or(|at| at.elapsed() >= FULL_CHECK_INTERVAL) {
                match tenants::all_businesses(&database).await {
                    Ok(businesses) => {
                        self.lock().extend(businesses);
                        all = Some(Instant::now());
                    }
                    Err(error) => tracing::warn!(%error, "the audit trail was not sealed"),
                }
            }
            let noted = std::mem::take(&mut *self.lock());
            for business in noted {
                match seal_batches(&database, business).await {
                    // The last entries may belong to transactions that were still open.
                    Ok(sealed) if sealed.unsealed => self.note(business),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, %business, "entries of the audit trail are not sealed");
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<BusinessId>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
