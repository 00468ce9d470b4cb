//! Changes of rows in the order of the audit trail, for systems that keep a copy.
//!
//! Each transaction that changes an order, a customer, a product or a payment writes an audit entry. Followers read
//! the entries in the order of the seals ([`crate::audit::seals`]): by transaction number, then by id. They read only
//! numbers below the horizon of their snapshot. Every transaction below it has ended, and later ones get higher
//! numbers. Therefore no entry appears before a cursor afterwards, and none is left out.
//!
//! A noun has a statement that lists the rows that an entry changed. The rows are then read as they are in the same
//! snapshot, each once in a page.
//!
//! A page costs one statement for the horizon, at most [`MAX_STATEMENTS`] for the entries, and those of its rows.
//! A page that begins with a time costs about 20 look-ups of seals more.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use entity::{BusinessId, EventId, Tenant, audit_events, audit_seals};
use sea_orm::{
    ColumnTrait, DbBackend, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Statement, Value,
};
use uuid::Uuid;

use crate::audit::seals;
use crate::foundation::clock;
use crate::foundation::dates::When;
use crate::foundation::retry::retry;
use crate::foundation::rows::count;
use crate::{Database, Error, Transaction};

/// The most entries that the first statement of a page reads. Most entries are of orders, so it fills most pages of them.
const FIRST_ENTRIES: usize = 250;
/// The most entries that each further statement reads.
const MORE_ENTRIES: usize = 2000;
/// The most changed rows that one statement returns.
const MAX_ROWS: usize = 1000;
/// The most statements that look for changed rows. A page without any ends after them, with a cursor.
const MAX_STATEMENTS: usize = 6;

/// The position of a change in the order of changes; used as a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    transaction_id: i64,
    event_id: EventId,
    /// An entry can change many rows, in the order of their ids.
    row_id: Uuid,
}

impl Position {
    /// The position before every change.
    const BEGINNING: Self = Self {
        transaction_id: i64::MIN,
        event_id: EventId(Uuid::nil()),
        row_id: Uuid::nil(),
    };

    /// The position after all rows of an entry.
    fn after(transaction_id: i64, event_id: EventId) -> Self {
        Self {
            transaction_id,
            event_id,
            row_id: Uuid::max(),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            transaction_id,
            event_id,
            row_id,
        } = self;
        write!(f, "{transaction_id} {event_id} {row_id}")
    }
}

/// The text is not a [`Position`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a number and two ids with spaces between them")]
pub struct NoPosition;

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let mut parts = text.splitn(3, ' ');
        let mut part = || parts.next().ok_or(NoPosition);
        Ok(Self {
            transaction_id: part()?.parse().map_err(|_no_number| NoPosition)?,
            event_id: part()?.parse().map_err(|_no_id| NoPosition)?,
            row_id: part()?.parse().map_err(|_no_id| NoPosition)?,
        })
    }
}

/// The beginning of a page of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Every change that was committed at this time or later. Changes of the seconds before may be among them.
    Since(When),
    /// The changes after the previous page.
    After(Position),
}

/// The requested page of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Following {
    /// The most rows of the page.
    pub limit: u64,
    /// The beginning.
    pub start: Start,
}

/// A page of changed rows as they are now, in the order of their first change in the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes<T> {
    /// The rows, each once, at most [`Following::limit`].
    pub rows: Vec<T>,
    /// The beginning of the next page.
    pub next: Position,
    /// Whether the next page may have rows now.
    pub has_more: bool,
}

/// The ids of a page's rows.
struct Changed {
    /// Each once, in the order of the first change.
    ids: Vec<Uuid>,
    next: Position,
    has_more: bool,
}

impl Changed {
    /// The page with its rows, which come in any order.
    fn with<T>(self, rows: Vec<T>, id: impl Fn(&T) -> Uuid) -> Changes<T> {
        let mut rows: HashMap<Uuid, T> = rows.into_iter().map(|row| (id(&row), row)).collect();
        let rows = self.ids.iter().filter_map(|id| rows.remove(id)).collect();
        Changes {
            rows,
            next: self.next,
            has_more: self.has_more,
        }
    }
}

/// A noun whose changes can be followed: the statements that find its changed rows, and the id of a row.
pub(crate) struct Noun<T> {
    /// The statement of [`FIRST_ENTRIES`].
    first: String,
    /// The statement of [`MORE_ENTRIES`].
    further: String,
    id: fn(&T) -> Uuid,
}

impl<T> Noun<T> {
    /// See [`statement`].
    pub(crate) fn new(changed: &str, id: fn(&T) -> Uuid) -> Self {
        Self {
            first: statement(changed, FIRST_ENTRIES),
            further: statement(changed, MORE_ENTRIES),
            id,
        }
    }

    /// Lists the rows in the order of their changes. `read` reads rows by their ids, in any order.
    ///
    /// # Errors
    /// [`Error::CursorExpired`]; [`Error::DatabaseUnavailable`]; those of `read`.
    pub(crate) async fn list(
        &self,
        database: &Database,
        business: BusinessId,
        following: &Following,
        read: impl AsyncFn(&Transaction, Vec<Uuid>) -> Result<Vec<T>, Error>,
    ) -> Result<Changes<T>, Error> {
        retry(|| async {
            let transaction = database.begin_snapshot(business, &[]).await?;
            let changed = walk(&transaction, business, self, following).await?;
            let rows = read(&transaction, changed.ids.clone()).await?;
            transaction.commit().await?;
            Ok(changed.with(rows, self.id))
        })
        .await
    }
}

/// A statement of a noun. `changed` selects the columns `transaction_id`, `id` and `row_id` from `walked`: the
/// entries, and the rows that they changed. `customer_id` of `walked` is null for entries without one, as are
/// `order_id` and `products`.
///
/// Raw: a page of entries with the rows that they changed, by a row comparison that an index serves.
/// The number of entries is a constant, so that the planner knows it. Ids are taken out of the entries first: row
/// security admits no function of an entry as an index condition of another table.
fn statement(changed: &str, entries: usize) -> String {
    format!(
        "
WITH walked AS MATERIALIZED (
    SELECT transaction_id, id, action, entity_type, entity_id, created_at,
           CASE WHEN entity_type IN ('order', 'payment', 'credit_note', 'write_off', 'payout')
                THEN (after->>'customer_id')::uuid END AS customer_id,
           CASE WHEN entity_type IN ('refund', 'dispute') THEN (after->>'order_id')::uuid END AS order_id,
           CASE WHEN entity_type = 'sale'
                THEN coalesce(before->'products', '[]'::jsonb) || (after->'products') END AS products
      FROM audit_events
     WHERE business_id = $1 AND (transaction_id, id) >= ($2, $3) AND transaction_id < $5
     ORDER BY transaction_id, id LIMIT {entries}
), changed AS (
{changed}
), page AS (
    SELECT transaction_id, id, row_id FROM changed
     WHERE row_id IS NOT NULL AND (transaction_id, id, row_id) > ($2, $3, $4)
     ORDER BY transaction_id, id, row_id LIMIT {MAX_ROWS}
), ending AS (
    SELECT count(*) AS walked, coalesce(bool_or((transaction_id, id) = ($2, $3)), false) AS is_known,
           max(transaction_id) AS last_transaction_id,
           (array_agg(id ORDER BY transaction_id DESC, id DESC))[1] AS last_event_id
      FROM walked
)
SELECT ending.walked, ending.is_known, ending.last_transaction_id, ending.last_event_id,
       page.transaction_id, page.id, page.row_id
  FROM ending LEFT JOIN page ON true
 ORDER BY page.transaction_id, page.id, page.row_id"
    )
}

/// A row of [`statement`]. All rows have the same `ending`.
#[derive(FromQueryResult)]
struct Walked {
    walked: i64,
    /// Whether the entry of the cursor is among the entries.
    is_known: bool,
    last_transaction_id: Option<i64>,
    last_event_id: Option<EventId>,
    transaction_id: Option<i64>,
    id: Option<EventId>,
    row_id: Option<Uuid>,
}

impl Walked {
    fn change(&self) -> Option<Position> {
        Some(Position {
            transaction_id: self.transaction_id?,
            event_id: self.id?,
            row_id: self.row_id?,
        })
    }

    fn ending(&self) -> Option<Position> {
        Some(Position::after(
            self.last_transaction_id?,
            self.last_event_id?,
        ))
    }
}

/// The number below which every transaction has ended.
///
/// Raw: functions of PostgreSQL, without a table. The number is then a value of the statements that read tables.
const HORIZON: &str = "
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS below, clock_timestamp() AS read_at";

/// The result of [`HORIZON`].
#[derive(FromQueryResult)]
struct Horizon {
    below: i64,
    /// A moment after the snapshot was taken.
    read_at: DateTime<Utc>,
}

/// Finds the next changed rows of a noun. The transaction must have one snapshot for all its statements.
async fn walk<T>(
    transaction: &Transaction,
    business: BusinessId,
    noun: &Noun<T>,
    following: &Following,
) -> Result<Changed, Error> {
    let horizon = Statement::from_string(DbBackend::Postgres, HORIZON);
    let horizon = Horizon::find_by_statement(horizon)
        .one(transaction)
        .await?
        .ok_or_else(|| Error::Bug("the snapshot returned nothing".into()))?;
    let mut changed = Changed {
        ids: Vec::new(),
        next: match following.start {
            Start::Since(since) => beginning(transaction, business, since, &horizon).await?,
            Start::After(position) => position,
        },
        has_more: true,
    };
    let limit = usize::try_from(following.limit).unwrap_or(usize::MAX);
    let mut seen = HashSet::new();
    // The end of a page is an entry, and after a restore that entry may be gone.
    let mut is_checked = matches!(following.start, Start::Since(_));
    let further = std::iter::repeat((&noun.further, MORE_ENTRIES));
    let first = std::iter::once((&noun.first, FIRST_ENTRIES));
    for (statement, entries) in first.chain(further).take(MAX_STATEMENTS) {
        let from = changed.next;
        let found = read(transaction, business, statement, (from, horizon.below)).await?;
        let Some(ending) = found.first() else {
            return Err(Error::Bug("the changes have no ending".into()));
        };
        if !is_checked && from != Position::BEGINNING && !ending.is_known {
            return Err(Error::CursorExpired);
        }
        is_checked = true;
        let changes: Vec<Position> = found.iter().filter_map(Walked::change).collect();
        for change in &changes {
            let is_new = !seen.contains(&change.row_id);
            if is_new && changed.ids.len() == limit {
                return Ok(changed);
            }
            if is_new {
                seen.insert(change.row_id);
                changed.ids.push(change.row_id);
            }
            changed.next = *change;
        }
        if changes.len() == MAX_ROWS {
            continue;
        }
        changed.next = ending.ending().unwrap_or(from);
        if ending.walked < count(entries) {
            changed.has_more = false;
            return Ok(changed);
        }
        if changed.ids.len() == limit {
            return Ok(changed);
        }
    }
    Ok(changed)
}

async fn read(
    transaction: &Transaction,
    business: BusinessId,
    statement: &str,
    (from, below): (Position, i64),
) -> Result<Vec<Walked>, Error> {
    let values: [Value; 5] = [
        business.0.into(),
        from.transaction_id.into(),
        from.event_id.0.into(),
        from.row_id.into(),
        below.into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, statement, values);
    Ok(Walked::find_by_statement(statement)
        .all(transaction)
        .await?)
}

/// A position after which lies every change that was committed at this time or later.
///
/// The audit trail has no times of commits. A seal bounds them: what it covers was committed before it.
async fn beginning(
    transaction: &Transaction,
    business: BusinessId,
    since: When,
    horizon: &Horizon,
) -> Result<Position, Error> {
    let since = since.start(clock::of(transaction, business).await?.time_zone);
    if since < horizon.read_at {
        return sealed_before(transaction, business, since).await;
    }
    // Later commits are above the horizon.
    let newest = audit_events::Entity::of(business)
        .filter(audit_events::Column::TransactionId.lt(horizon.below))
        .order_by_desc(audit_events::Column::TransactionId)
        .order_by_desc(audit_events::Column::Id)
        .limit(1)
        .one(transaction)
        .await?;
    Ok(newest.map_or(Position::BEGINNING, |newest| {
        Position::after(newest.transaction_id, newest.id)
    }))
}

/// The end of a seal whose entries were all committed before this time: by bisection, since seals are numbered in
/// their order and have no index by time. Whatever the clocks of the sealers, the one that is found is such a seal.
async fn sealed_before(
    transaction: &Transaction,
    business: BusinessId,
    since: DateTime<Utc>,
) -> Result<Position, Error> {
    let newest = audit_seals::Entity::of(business)
        .order_by_desc(audit_seals::Column::Number)
        .limit(1)
        .one(transaction)
        .await?;
    let mut position = Position::BEGINNING;
    let mut is_before = |seal: &audit_seals::Model| {
        let is_before = seal.sealed_at + seals::MAX_DELAY <= since;
        if is_before {
            position = Position::after(seal.last_transaction_id, seal.last_event_id);
        }
        is_before
    };
    let Some(newest) = newest.filter(|newest| !is_before(newest)) else {
        return Ok(position);
    };
    let (mut before, mut not_before) = (0, newest.number);
    while not_before - before > 1 {
        let middle = before + (not_before - before) / 2;
        let seal = audit_seals::Entity::of(business)
            .filter(audit_seals::Column::Number.eq(middle))
            .one(transaction)
            .await?;
        if seal.is_some_and(|seal| is_before(&seal)) {
            before = middle;
        } else {
            not_before = middle;
        }
    }
    Ok(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_the_round_trip_and_is_no_other_cursor() {
        for position in [Position::BEGINNING, Position::after(7, EventId::new())] {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        let id = EventId::new();
        for other in [id.to_string(), format!("7 {id}"), format!("7 {id} {id} 1")] {
            assert_eq!(other.parse::<Position>(), Err(NoPosition), "{other}");
        }
    }
}
