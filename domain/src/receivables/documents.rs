//! Documents: payments, payouts, credit notes and write-offs. Each is one entry of its customer's account, with a state
//! that later allocations and reversals change.

use entity::{BusinessId, CustomerId, Tenant};
use sea_orm::{EntityTrait, Select};

use crate::foundation::retry::retry;
use crate::receivables::reversals::{self, CreditState};
use crate::{Caller, Database, Error, Page, Paging, Transaction};

/// A document with its current state.
pub(crate) trait Document: Sized {
    /// The table of these documents.
    type Entity: Tenant;
    /// The id of such a document.
    type Id;

    /// The id of this row.
    fn id(row: &Row<Self>) -> Self::Id;

    /// The customer whose account it is, and the number of the entry.
    fn entry(row: &Row<Self>) -> (CustomerId, i64);

    /// The document of this row in this state.
    fn of(row: Row<Self>, state: CreditState) -> Self;
}

/// A row of a document's table.
type Row<D> = <<D as Document>::Entity as EntityTrait>::Model;

/// Reads a document with its state. `missing` is the error without such a row. Four round trips.
pub(crate) async fn read<D: Document>(
    database: &Database,
    caller: &Caller,
    select: Select<D::Entity>,
    missing: Error,
) -> Result<D, Error> {
    retry(|| async {
        let transaction = database.begin_read(caller.business_id).await?;
        let row = select.clone().one(&transaction).await?;
        let row = row.ok_or_else(|| missing.clone())?;
        let state = reversals::state(&transaction, caller.business_id, D::entry(&row)).await?;
        transaction.commit().await?;
        Ok(D::of(row, state))
    })
    .await
}

/// Lists documents with their states. `select` has the filter and the order of the page. Four round trips.
pub(crate) async fn list<D: Document>(
    database: &Database,
    caller: &Caller,
    select: Select<D::Entity>,
    paging: &Paging<D::Id>,
) -> Result<Page<D, D::Id>, Error> {
    retry(|| async {
        let transaction = database.begin_read(caller.business_id).await?;
        let rows = select.clone().all(&transaction).await?;
        let page = with_states(&transaction, caller.business_id, rows, paging).await?;
        transaction.commit().await?;
        Ok(page)
    })
    .await
}

/// The page of these documents with their states. One round trip.
pub(crate) async fn with_states<D: Document>(
    transaction: &Transaction,
    business: BusinessId,
    rows: Vec<Row<D>>,
    paging: &Paging<D::Id>,
) -> Result<Page<D, D::Id>, Error> {
    let page = Page::of(rows, paging, D::id);
    Ok(Page {
        rows: complete(transaction, business, page.rows).await?,
        next: page.next,
    })
}

/// The documents of these rows, with their states. One round trip.
pub(crate) async fn complete<D: Document>(
    transaction: &Transaction,
    business: BusinessId,
    rows: Vec<Row<D>>,
) -> Result<Vec<D>, Error> {
    let entries: Vec<_> = rows.iter().map(D::entry).collect();
    let mut states = reversals::states(transaction, business, &entries).await?;
    let rows = rows.into_iter().zip(entries);
    let documents = rows.map(|(row, entry)| D::of(row, states.remove(&entry).unwrap_or_default()));
    Ok(documents.collect())
}
