//! Audit entries: each change with its actor and the states before and after, written in the transaction of the
//! change.
//!
//! Entries are read along their key, the newest transaction first ([`crate::audit::seals`] defines the order).
//! Filters are applied to the rows that are read: an index for each filter would burden every sale, for the sake of
//! rare queries.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use entity::{BusinessId, EventId, Tenant, UserId, audit_events};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::change::{Actor, Change, Written};
use super::new_events::Event;
use crate::foundation::clock;
use crate::foundation::dates::When;
use crate::foundation::pages;
use crate::foundation::rows::ArrayStatement;
use crate::{Caller, Database, Error, Page, Paging, Transaction};

/// Whether the entry exists, and with it everything that its transaction wrote.
pub(crate) async fn is_written(
    transaction: &Transaction,
    business: BusinessId,
    written: Written,
) -> Result<bool, Error> {
    let found = audit_events::Entity::of(business)
        .filter(audit_events::Column::TransactionId.eq(written.transaction_id))
        .filter(audit_events::Column::Id.eq(written.event_id))
        .one(transaction)
        .await?;
    Ok(found.is_some())
}

/// Adds the caller's change to the trail. It is there when the transaction commits, and only then.
pub(crate) async fn record(
    transaction: &Transaction,
    caller: &Caller,
    change: Change,
) -> Result<(), Error> {
    record_as(transaction, caller.into(), change).await
}

static RECORD: LazyLock<ArrayStatement> =
    LazyLock::new(|| ArrayStatement::new(|arrays| arrays.insert::<Event<'_>>()));

/// As [`record`], for any actor.
pub(crate) async fn record_as(
    transaction: &Transaction,
    actor: Actor<'_>,
    change: Change,
) -> Result<(), Error> {
    record_all(transaction, actor, [change]).await
}

/// Adds changes to the trail with one statement.
pub(crate) async fn record_all(
    transaction: &Transaction,
    actor: Actor<'_>,
    changes: impl IntoIterator<Item = Change>,
) -> Result<(), Error> {
    let events = changes.into_iter().map(|change| Event {
        id: EventId::new(),
        actor,
        change,
    });
    let events: Vec<Event<'_>> = events.collect();
    let statement = RECORD.of(actor.business_id).rows(&events).statement()?;
    transaction.execute_raw(statement).await?;
    Ok(())
}

/// The cursor of the list: the position of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryCursor {
    transaction_id: i64,
    id: EventId,
}

impl fmt::Display for EntryCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transaction_id, self.id)
    }
}

/// The text is not a [`EntryCursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a number and an entry's id with a space between them")]
pub struct NotEntryCursor;

impl FromStr for EntryCursor {
    type Err = NotEntryCursor;

    fn from_str(text: &str) -> Result<Self, NotEntryCursor> {
        let (transaction, id) = text.split_once(' ').ok_or(NotEntryCursor)?;
        Ok(Self {
            transaction_id: transaction.parse().map_err(|_no_number| NotEntryCursor)?,
            id: id.parse().map_err(|_no_id| NotEntryCursor)?,
        })
    }
}

/// The filter of a list; absent fields match every entry.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The kind of the changed entity.
    pub entity_type: Option<String>,
    /// The id of the changed entity.
    pub entity_id: Option<Uuid>,
    /// The user or API key that made the change.
    pub actor_id: Option<UserId>,
    /// The event, exactly.
    pub action: Option<String>,
    /// The first instant or day, included.
    pub from: Option<When>,
    /// The end: an instant is excluded, a day is included.
    pub to: Option<When>,
}

/// Lists audit entries of the caller's business, newest first.
///
/// # Errors
/// [`Error::Overloaded`] when a selective filter has to read too many entries;
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    filter: &Filter,
    paging: &Paging<EntryCursor>,
) -> Result<Page<audit_events::Model, EntryCursor>, Error> {
    use audit_events::Column;

    let mut select = audit_events::Entity::of(caller.business_id);
    if let Some(entity_type) = &filter.entity_type {
        select = select.filter(Column::EntityType.eq(entity_type.as_str()));
    }
    if let Some(id) = filter.entity_id {
        select = select.filter(Column::EntityId.eq(id));
    }
    if let Some(actor) = filter.actor_id {
        select = select.filter(Column::ActorId.eq(actor));
    }
    if let Some(action) = &filter.action {
        select = select.filter(Column::Action.eq(action.as_str()));
    }
    let span = (filter.from, filter.to);
    let mut select = clock::within(database, caller, select, Column::CreatedAt, span).await?;
    if let Some(after) = paging.after {
        let position = [Column::TransactionId.into_expr(), Column::Id.into_expr()];
        let older_than = [after.transaction_id.into(), after.id.into()];
        select = select.filter(Expr::tuple(position).lt(Expr::tuple(older_than)));
    }
    let select = select
        .order_by_desc(Column::TransactionId)
        .order_by_desc(Column::Id)
        .limit(paging.rows());
    pages::read(database, caller.business_id, select, paging, |event| {
        EntryCursor {
            transaction_id: event.transaction_id,
            id: event.id,
        }
    })
    .await
}
