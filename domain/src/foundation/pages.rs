//! Keyset pagination: a page continues after the last row of the previous one.
//!
//! Rows that are added meanwhile neither shift nor repeat others. Page 1,000 costs as much as page 1.

use entity::BusinessId;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select, Value};

use crate::foundation::retry::retry;
use crate::{Database, Error};

/// The requested page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging<K> {
    /// The most rows of the page.
    pub limit: u64,
    /// The key of the last row of the previous page; `None` for the first page.
    pub after: Option<K>,
}

/// One page, and the start of the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, K> {
    /// The rows, at most [`Paging::limit`].
    pub rows: Vec<T>,
    /// The key of the last row; `None` on the last page.
    pub next: Option<K>,
}

impl<K> Paging<K> {
    /// The rows to read: one more than is returned, which tells whether another page follows.
    pub(crate) fn rows(&self) -> u64 {
        self.limit + 1
    }
}

impl<K: Copy + Into<Value>> Paging<K> {
    /// The page's rows in ascending order of this column.
    pub(crate) fn ascending<S>(&self, select: S, key: impl ColumnTrait) -> S
    where
        S: QueryFilter + QueryOrder + QuerySelect,
    {
        let select = match self.after {
            Some(after) => select.filter(key.gt(after)),
            None => select,
        };
        select.order_by_asc(key).limit(self.rows())
    }

    /// The page's rows in descending order of this column.
    pub(crate) fn descending<S>(&self, select: S, key: impl ColumnTrait) -> S
    where
        S: QueryFilter + QueryOrder + QuerySelect,
    {
        let select = match self.after {
            Some(after) => select.filter(key.lt(after)),
            None => select,
        };
        select.order_by_desc(key).limit(self.rows())
    }
}

impl<T, K> Page<T, K> {
    /// Makes a page from its rows, of which [`Paging::rows`] were read.
    pub(crate) fn of(mut rows: Vec<T>, paging: &Paging<K>, key: impl Fn(&T) -> K) -> Self {
        let limit = usize::try_from(paging.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(key) } else { None };
        Self { rows, next }
    }
}

/// Reads a page of one table in a transaction of its own.
pub(crate) async fn read<E: EntityTrait, K>(
    database: &Database,
    business: BusinessId,
    select: Select<E>,
    paging: &Paging<K>,
    key: impl Fn(&E::Model) -> K,
) -> Result<Page<E::Model, K>, Error> {
    let rows = retry(|| async {
        let transaction = database.begin_read(business).await?;
        let rows = select.clone().all(&transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    });
    Ok(Page::of(rows.await?, paging, key))
}
