//! Pages of rows that a search finds, in the order of the list.
//!
//! A row is found in one of several ways: by its own terms, or by those of its customer or products. The first ids of
//! each way are merged. Each way costs at most three statements:
//!
//! 1. When little is found, its rows are collected and sorted.
//! 2. Otherwise the list is walked in its order, and each row is checked. Common words are soon found so.
//! 3. When the first rows of the list have less than a page, the rest is old, and all is collected.

use std::collections::BTreeSet;

use entity::{BusinessId, Tenant};
use sea_orm::sea_query::{Expr, ExprTrait, JoinType, Order, Query, SelectStatement, UnionType};
use sea_orm::{
    ColumnTrait, ConnectionTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};
use uuid::Uuid;

use super::Found;
use crate::{Error, Transaction};

/// The rows of a list that are walked before all is collected.
const MAX_WALKED: u64 = 10_000;

/// The name of the found ids in statements.
const KEYS: &str = "keys";

/// A way in which rows are found.
pub(crate) enum Way<'a, E: Tenant> {
    /// The rows meet a condition that has an index in the order of the list.
    Range(Expr),
    /// Terms lead to the rows.
    Terms {
        found: Found<'a>,
        /// The most found ids whose rows are collected at once.
        few: u64,
        /// The rows that belong to a found id.
        of_id: fn(Select<E>, Expr) -> Select<E>,
        /// Whether a row belongs to one of the found ids.
        belongs: fn(BusinessId, &Found<'_>) -> Expr,
    },
}

/// A list, of which rows are found.
pub(crate) struct List<E: Tenant> {
    pub(crate) business: BusinessId,
    /// The rows from the start of the page on.
    pub(crate) rest: Select<E>,
    /// Of these, the rows that meet the filter.
    pub(crate) filtered: Select<E>,
    pub(crate) id: E::Column,
    pub(crate) order: Order,
}

impl<E: Tenant> List<E> {
    /// The first `limit` ids in the order of the list that one of the ways finds.
    pub(crate) async fn first(
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
            Way::Terms { found, .. } if found.is_empty() => Ok(Vec::new()),
            Way::Terms {
                found,
                few,
                of_id,
                belongs,
            } => {
                if found.rows() > *few {
                    let near = self.near().and(belongs(self.business, found));
                    let walked = self.sorted(self.filtered.clone().filter(near), limit);
                    let walked = ids(transaction, &walked).await?;
                    if u64::try_from(walked.len()) == Ok(limit) {
                        return Ok(walked);
                    }
                }
                let rows = of_id(self.filtered.clone(), key());
                let each = self.sorted(rows, limit);
                let collected = self
                    .collected(found, each)
                    .order_by(("rows", self.id), self.order.clone())
                    .limit(limit)
                    .to_owned();
                ids(transaction, &collected).await
            }
        }
    }

    /// The number of rows that the ways find, up to `most`.
    pub(crate) async fn count(
        &self,
        transaction: &Transaction,
        ways: &[Way<'_, E>],
        most: u64,
    ) -> Result<u64, Error> {
        let limited = |select: Select<E>| {
            let select = select.select_only().column(self.id).limit(most);
            select.into_query()
        };
        let mut each = ways.iter().filter_map(|way| match way {
            Way::Range(condition) => Some(limited(self.filtered.clone().filter(condition.clone()))),
            Way::Terms { found, .. } if found.is_empty() => None,
            Way::Terms { found, of_id, .. } => {
                let rows = limited(of_id(self.filtered.clone(), key()));
                Some(self.collected(found, rows).limit(most).to_owned())
            }
        });
        let Some(mut all) = each.next() else {
            return Ok(0);
        };
        // A row that is found in several ways counts once.
        for other in each {
            let other = Query::select()
                .column(self.id)
                .from_subquery(other, "other")
                .to_owned();
            all = Query::select()
                .column(self.id)
                .from_subquery(all, "all")
                .union(UnionType::Distinct, other)
                .to_owned();
        }
        counted(transaction, all, most).await
    }

    /// The rows in the order of the list, their ids only.
    fn sorted(&self, rows: Select<E>, limit: u64) -> SelectStatement {
        rows.select_only()
            .column(self.id)
            .order_by(self.id, self.order.clone())
            .limit(limit)
            .into_query()
    }

    /// The rows of all found ids. `each` selects those of one.
    fn collected(&self, found: &Found<'_>, each: SelectStatement) -> SelectStatement {
        Query::select()
            .column(("rows", self.id))
            .from_subquery(found.ids(), KEYS)
            .join_lateral(JoinType::InnerJoin, each, "rows", Expr::cust("TRUE"))
            .to_owned()
    }

    /// Keeps the first [`MAX_WALKED`] rows of the list.
    fn near(&self) -> Expr {
        let last = self
            .rest
            .clone()
            .select_only()
            .column(self.id)
            .order_by(self.id, self.order.clone())
            .offset(MAX_WALKED)
            .limit(1)
            .into_query();
        let id = self.id.into_expr();
        let (is_near, end): (fn(Expr, Expr) -> Expr, _) = match self.order {
            Order::Desc => (ExprTrait::gte, Uuid::nil()),
            _ => (ExprTrait::lte, Uuid::max()),
        };
        // Not `coalesce`: under row security, an index does not use a condition that contains it.
        let last = Query::select()
            .column(self.id)
            .from_subquery(last, "last")
            .union(
                UnionType::All,
                Query::select().expr(Expr::val(end)).to_owned(),
            )
            .order_by(self.id, self.order.clone())
            .limit(1)
            .to_owned();
        is_near(id, super::subquery(last))
    }
}

/// The id that was found, in the statement of its rows.
fn key() -> Expr {
    Expr::col((KEYS, entity::search_terms::Column::EntityId))
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
