//! Pages of rows that a search finds, in the order of the list.
//!
//! A row is found in one of several ways: by its own terms, or by those of its customer or products. The first ids of
//! each way are merged. Each way costs at most three statements:
//!
//! 1. Own terms of few rows are read, and the ids sorted. Of customers or products the ids are read. Their rows are
//!    collected if they are very few: the first row of each decides which of them have a row in the page.
//! 2. Otherwise the list is walked in its order, and each row is checked. Common words are soon found so.
//! 3. When the first rows of the list have less than a page, the rest is old, and all is collected.

use std::collections::BTreeSet;

use entity::search_terms::Column;
use entity::{BusinessId, Tenant};
use sea_orm::sea_query::extension::postgres::PgFunc;
use sea_orm::sea_query::{
    Expr, ExprTrait, Func, JoinType, Order, Query, SelectStatement, UnionType,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};
use uuid::Uuid;

use super::{Found, Search};
use crate::{Error, Transaction};

/// The most customers or products whose rows are collected at once.
const MAX_COLLECTED: usize = 1_000;

/// The rows of a list whose terms are looked up before all is collected.
const MAX_LOOKED_UP: u64 = 1_000;

/// The rows of a list that are compared with ids before all is collected.
const MAX_COMPARED: u64 = 10_000;

/// The name of the found ids in statements.
const KEYS: &str = "keys";

/// A way in which rows are found.
pub(crate) enum Way<'a, E: Tenant> {
    /// The rows meet a condition that has an index in the order of the list.
    Range(Expr),
    /// The rows have the terms.
    Own(Found<'a>),
    /// Something that the rows belong to has the terms: a customer or a product.
    Of {
        found: Found<'a>,
        /// The rows that belong to a found id.
        rows: fn(Select<E>, Expr) -> Select<E>,
        /// Whether a row belongs to one of the found ids.
        belongs: fn(BusinessId, &Keys<'_>) -> Expr,
        /// Whether an id is the first of the found ids to which a row belongs; `None` if a row belongs to one only.
        is_first: Option<fn(BusinessId, &Keys<'_>, Expr) -> Expr>,
    },
}

/// The rows to which the terms lead.
pub(crate) enum Keys<'a> {
    /// These ids.
    Ids(Vec<Uuid>),
    /// The ids with common words, whose number is not known.
    Common(&'a Found<'a>),
}

impl<'a> Keys<'a> {
    pub(crate) async fn of(transaction: &Transaction, found: &'a Found<'a>) -> Result<Self, Error> {
        if found.is_common() {
            return Ok(Self::Common(found));
        }
        let rows = transaction.query_all(&found.ids()).await?;
        let ids = rows.iter().map(|row| row.try_get("", "entity_id"));
        Ok(Self::Ids(ids.collect::<Result<_, _>>()?))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.most() == Some(0)
    }

    /// Whether their rows may be collected at once.
    pub(crate) fn are_few(&self) -> bool {
        self.most().is_some_and(|most| most <= MAX_COLLECTED)
    }

    fn most(&self) -> Option<usize> {
        match self {
            Self::Ids(ids) => Some(ids.len()),
            Self::Common(_) => None,
        }
    }

    /// Whether this id is among them, as a condition that is checked row by row. A bare condition would let the planner
    /// read all rows of each id.
    pub(crate) fn contain(&self, id: Expr) -> Expr {
        let contained = match self {
            Self::Ids(ids) => id.eq(PgFunc::any(Expr::val(ids.clone()))),
            Self::Common(found) => found.matches(&id),
        };
        Expr::cust_with_expr("($1) IS TRUE", contained)
    }

    /// A statement with the column `entity_id`.
    pub(crate) fn select(&self) -> SelectStatement {
        match self {
            Self::Ids(ids) => Query::select()
                .expr_as(Expr::col("id"), Column::EntityId)
                .from_function(Func::cust("unnest").arg(ids.clone()), "id")
                .to_owned(),
            Self::Common(found) => found.ids(),
        }
    }
}

/// Rows that a search finds.
pub(crate) trait Searched: Tenant {
    /// The id, by which lists are sorted.
    const ID: Self::Column;

    /// The ways in which a row is found. Costs one statement.
    async fn ways<'a>(
        transaction: &Transaction,
        business: BusinessId,
        search: &'a Search,
    ) -> Result<Vec<Way<'a, Self>>, Error>;
}

/// A list of rows by id.
pub(crate) struct List<E: Tenant> {
    pub(crate) business: BusinessId,
    /// The rows from the start of the page on.
    pub(crate) rest: Select<E>,
    /// Of these, the rows that meet the filter.
    pub(crate) filtered: Select<E>,
    pub(crate) order: Order,
}

impl<E: Searched> List<E> {
    /// The first rows of the list, or of those that a search finds: a statement, still without an order.
    pub(crate) async fn rows(
        &self,
        transaction: &Transaction,
        search: Option<&Search>,
        limit: u64,
    ) -> Result<Select<E>, Error> {
        let Some(search) = search else {
            return Ok(self.filtered.clone().limit(limit));
        };
        let ways = E::ways(transaction, self.business, search).await?;
        let ids = self.first(transaction, &ways, limit).await?;
        Ok(E::of(self.business).filter(E::ID.eq_any(ids)))
    }

    /// The number of rows of the list, or of those that a search finds, up to `most`.
    pub(crate) async fn count(
        &self,
        transaction: &Transaction,
        search: Option<&Search>,
        most: u64,
    ) -> Result<u64, Error> {
        let Some(search) = search else {
            let rows = self.filtered.clone().select_only().column(E::ID);
            return counted(transaction, rows.into_query(), most).await;
        };
        let ways = E::ways(transaction, self.business, search).await?;
        self.count_found(transaction, &ways, most).await
    }

    /// The first `limit` ids in the order of the list that one of the ways finds.
    async fn first(
        &self,
        transaction: &Transaction,
        ways: &[Way<'_, E>],
        limit: u64,
    ) -> Result<Vec<Uuid>, Error> {
        let mut all = BTreeSet::new();
        for way in ways {
            all.extend(self.of_way(transaction, way, limit).await?);
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(match self.order {
            Order::Desc => all.into_iter().rev().take(limit).collect(),
            _ => all.into_iter().take(limit).collect(),
        })
    }

    async fn of_way(
        &self,
        transaction: &Transaction,
        way: &Way<'_, E>,
        limit: u64,
    ) -> Result<Vec<Uuid>, Error> {
        match way {
            Way::Range(condition) => {
                let rows = self.filtered.clone().filter(condition.clone());
                ids(transaction, &self.sorted(rows, limit)).await
            }
            Way::Own(found) | Way::Of { found, .. } if found.is_empty() => Ok(Vec::new()),
            Way::Own(found) => {
                if found.is_common() {
                    let condition = found.matches(&E::ID.into_expr());
                    let walked = self.walk(condition, MAX_LOOKED_UP, limit);
                    let walked = ids(transaction, &walked).await?;
                    if is_full(&walked, limit) {
                        return Ok(walked);
                    }
                }
                ids(transaction, &self.of_own(found, limit)).await
            }
            Way::Of {
                found,
                rows,
                belongs,
                ..
            } => {
                let keys = Keys::of(transaction, found).await?;
                if keys.is_empty() {
                    return Ok(Vec::new());
                }
                if !keys.are_few() {
                    let most = match keys {
                        Keys::Ids(_) => MAX_COMPARED,
                        Keys::Common(_) => MAX_LOOKED_UP,
                    };
                    let walked = self.walk(belongs(self.business, &keys), most, limit);
                    let walked = ids(transaction, &walked).await?;
                    if is_full(&walked, limit) {
                        return Ok(walked);
                    }
                }
                ids(transaction, &self.of_keys(&keys, *rows, limit)).await
            }
        }
    }

    /// The first rows that meet a condition, among the first `most` of the list.
    fn walk(&self, condition: Expr, most: u64, limit: u64) -> SelectStatement {
        let rows = self.filtered.clone();
        self.sorted(rows.filter(self.near(most).and(condition)), limit)
    }

    /// The first rows with the terms. Their ids are sorted first, so that few rows are read.
    fn of_own(&self, found: &Found<'_>, limit: u64) -> SelectStatement {
        let keys = Query::select()
            .column((KEYS, Column::EntityId))
            .from_subquery(found.ids(), KEYS)
            .order_by((KEYS, Column::EntityId), self.order.clone())
            .to_owned();
        self.with_rows(keys, self.own_row())
            .order_by((KEYS, Column::EntityId), self.order.clone())
            .limit(limit)
            .to_owned()
    }

    /// The row of a found id.
    fn own_row(&self) -> SelectStatement {
        let row = self.filtered.clone().filter(E::ID.into_expr().eq(key()));
        self.sorted(row, 1)
    }

    /// The first rows of all keys. Only keys whose own first row is among the first rows of all keys can have any.
    fn of_keys(
        &self,
        keys: &Keys<'_>,
        rows: fn(Select<E>, Expr) -> Select<E>,
        limit: u64,
    ) -> SelectStatement {
        let each = |limit| self.sorted(rows(self.filtered.clone(), key()), limit);
        let direction = match self.order {
            Order::Desc => "DESC",
            _ => "ASC",
        };
        // A row can be the first of several keys, and is then counted once.
        let rank = format!("dense_rank() OVER (ORDER BY rows.id {direction})");
        let ranked = self
            .with_rows(keys.select(), each(1))
            .column((KEYS, Column::EntityId))
            .expr_as(Expr::cust(rank), "rank")
            .to_owned();
        let first = Query::select()
            .column(("ranked", Column::EntityId))
            .from_subquery(ranked, "ranked")
            .and_where(Expr::col(("ranked", "rank")).lte(limit))
            .to_owned();
        self.with_rows(first, each(limit))
            .distinct()
            .order_by(("rows", E::ID), self.order.clone())
            .limit(limit)
            .to_owned()
    }

    /// The rows of each key. `each` selects those of one.
    fn with_rows(&self, keys: SelectStatement, each: SelectStatement) -> SelectStatement {
        Query::select()
            .column(("rows", E::ID))
            .from_subquery(keys, KEYS)
            .join_lateral(JoinType::InnerJoin, each, "rows", Expr::cust("TRUE"))
            .to_owned()
    }

    /// The number of rows that the ways find, up to `most`.
    async fn count_found(
        &self,
        transaction: &Transaction,
        ways: &[Way<'_, E>],
        most: u64,
    ) -> Result<u64, Error> {
        let mut parts = Vec::new();
        for way in ways {
            parts.extend(self.counted(transaction, way, most).await?);
        }
        let mut parts = parts.into_iter();
        let Some(mut all) = parts.next() else {
            return Ok(0);
        };
        // A row that is found in several ways counts once.
        for other in parts {
            all = Self::ids_of(all);
            all.union(UnionType::Distinct, Self::ids_of(other));
        }
        counted(transaction, all, most).await
    }

    /// The rows that a way finds, each once, up to `most`.
    async fn counted(
        &self,
        transaction: &Transaction,
        way: &Way<'_, E>,
        most: u64,
    ) -> Result<Option<SelectStatement>, Error> {
        let ids = |rows: Select<E>| rows.select_only().column(E::ID).limit(most).into_query();
        let mut rows = match way {
            Way::Range(condition) => ids(self.filtered.clone().filter(condition.clone())),
            Way::Own(found) | Way::Of { found, .. } if found.is_empty() => return Ok(None),
            Way::Own(found) => self.with_rows(found.ids(), self.own_row()),
            Way::Of {
                found,
                rows,
                is_first,
                ..
            } => {
                let keys = Keys::of(transaction, found).await?;
                let mut each = rows(self.filtered.clone(), key());
                if let Some(is_first) = is_first {
                    each = each.filter(is_first(self.business, &keys, key()));
                }
                self.with_rows(keys.select(), ids(each))
            }
        };
        Ok(Some(rows.limit(most).to_owned()))
    }

    fn ids_of(rows: SelectStatement) -> SelectStatement {
        Query::select()
            .column(E::ID)
            .from_subquery(rows, "all")
            .to_owned()
    }

    /// The rows in the order of the list, their ids only.
    fn sorted(&self, rows: Select<E>, limit: u64) -> SelectStatement {
        rows.select_only()
            .column(E::ID)
            .order_by(E::ID, self.order.clone())
            .limit(limit)
            .into_query()
    }

    /// Keeps the first rows of the list.
    fn near(&self, most: u64) -> Expr {
        let last = self
            .rest
            .clone()
            .select_only()
            .column(E::ID)
            .order_by(E::ID, self.order.clone())
            .offset(most)
            .limit(1)
            .into_query();
        let id = E::ID.into_expr();
        let (is_near, end): (fn(Expr, Expr) -> Expr, _) = match self.order {
            Order::Desc => (ExprTrait::gte, Uuid::nil()),
            _ => (ExprTrait::lte, Uuid::max()),
        };
        // Not `coalesce`: under row security, an index does not use a condition that contains it.
        let last = Query::select()
            .column(E::ID)
            .from_subquery(last, "last")
            .union(
                UnionType::All,
                Query::select().expr(Expr::val(end)).to_owned(),
            )
            .order_by(E::ID, self.order.clone())
            .limit(1)
            .to_owned();
        is_near(id, super::subquery(last))
    }
}

/// The id that was found, in the statement of its rows.
fn key() -> Expr {
    Expr::col((KEYS, Column::EntityId))
}

fn is_full(page: &[Uuid], limit: u64) -> bool {
    u64::try_from(page.len()) == Ok(limit)
}

async fn ids(transaction: &Transaction, select: &SelectStatement) -> Result<Vec<Uuid>, Error> {
    let rows = transaction.query_all(select).await?;
    let ids = rows.iter().map(|row| row.try_get("", "id"));
    Ok(ids.collect::<Result<_, _>>()?)
}

/// The number of rows of a statement, up to `most`.
pub(crate) async fn counted(
    transaction: &Transaction,
    rows: SelectStatement,
    most: u64,
) -> Result<u64, Error> {
    let some = Query::select()
        .expr(Expr::val(1))
        .from_subquery(rows, "found")
        .limit(most)
        .to_owned();
    let count = Query::select()
        .expr_as(Expr::cust("count(*)"), "count")
        .from_subquery(some, "counted")
        .to_owned();
    let row = transaction.query_one(&count).await?;
    let row = row.ok_or_else(|| Error::Bug("a count returned nothing".into()))?;
    let count: i64 = row.try_get("", "count")?;
    Ok(count.unsigned_abs())
}
