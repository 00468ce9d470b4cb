//! Filling: terms of rows that were written before there were terms, or by an earlier version of the service.
//!
//! Each batch of 1,000 rows is a transaction of its own and locks no row, so sales go on. A row that is changed at the same
//! moment may keep an old word until its next change.

use entity::search_terms::{self, Kind};
use entity::{BusinessId, Tenant, customers, orders, payments, products};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, Condition, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select};
use uuid::Uuid;

use super::{NewTerm, fields, insert};
use crate::foundation::retry::retry;
use crate::foundation::tenants;
use crate::{Database, Error, Transaction};

/// The rows of one batch.
const BATCH: u64 = 1000;

/// The number of rows that were given terms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filled {
    pub customers: usize,
    pub products: usize,
    pub orders: usize,
    pub payments: usize,
}

impl Filled {
    /// All rows together.
    #[must_use]
    pub fn rows(self) -> usize {
        self.customers + self.products + self.orders + self.payments
    }
}

/// Gives terms to all rows of all businesses that have none. It may run at any time and repeatedly.
///
/// # Errors
/// [`Error::DatabaseUnavailable`]; [`Error::Contention`].
pub async fn fill(database: &Database) -> Result<Filled, Error> {
    let mut filled = Filled::default();
    for business in tenants::all_businesses(database).await? {
        filled.customers += fill_kind(database, business, Kind::CustomerName).await?;
        filled.products += fill_kind(database, business, Kind::Product).await?;
        filled.orders += fill_kind(database, business, Kind::Order).await?;
        filled.payments += fill_kind(database, business, Kind::Payment).await?;
    }
    Ok(filled)
}

/// Rows of a table that have no terms yet, with the terms that they should have.
struct Missing {
    /// The id of the last row; `None` without one.
    last: Option<Uuid>,
    rows: usize,
    terms: Vec<NewTerm>,
}

async fn fill_kind(database: &Database, business: BusinessId, kind: Kind) -> Result<usize, Error> {
    let (mut filled, mut after) = (0, Uuid::nil());
    loop {
        let missing = retry(|| async {
            let transaction = database.begin(business).await?;
            let mut missing = match kind {
                Kind::Customer | Kind::CustomerName => {
                    customers(&transaction, business, after).await?
                }
                Kind::Product => products(&transaction, business, after).await?,
                Kind::Order => orders(&transaction, business, after).await?,
                Kind::Payment => payments(&transaction, business, after).await?,
            };
            let terms = std::mem::take(&mut missing.terms);
            insert(&transaction, business, terms).await?;
            transaction.commit().await?;
            Ok(missing)
        })
        .await?;
        filled += missing.rows;
        match missing.last {
            // Rows without a letter or digit have no terms and are found missing again, so the walk goes on by id.
            Some(last) => after = last,
            None => return Ok(filled),
        }
    }
}

impl Missing {
    fn of<R>(rows: &[R], id: impl Fn(&R) -> Uuid, terms: impl Fn(&R) -> Vec<NewTerm>) -> Self {
        Self {
            last: rows.last().map(id),
            rows: rows.len(),
            terms: rows.iter().flat_map(terms).collect(),
        }
    }
}

/// The next rows of a table after this id without terms of the kind.
fn missing<E: Tenant>(business: BusinessId, id: E::Column, kind: Kind, after: Uuid) -> Select<E> {
    let of_row = Expr::col(search_terms::Column::EntityId.as_column_ref());
    let terms = search_terms::Entity::of(business)
        .select_only()
        .expr(Expr::val(1))
        .filter(search_terms::Column::Kind.eq(kind))
        .filter(of_row.eq(Expr::col(id.as_column_ref())))
        .into_query();
    E::of(business)
        .filter(id.gt(after))
        .filter(Expr::not_exists(terms))
        .order_by_asc(id)
        .limit(BATCH)
}

async fn customers(
    transaction: &Transaction,
    business: BusinessId,
    after: Uuid,
) -> Result<Missing, Error> {
    let id = customers::Column::Id;
    let rows = missing::<customers::Entity>(business, id, Kind::CustomerName, after);
    let rows = rows.all(transaction).await?;
    Ok(Missing::of(
        &rows,
        |row| row.id.0,
        |row| fields::customer(row).collect(),
    ))
}

async fn products(
    transaction: &Transaction,
    business: BusinessId,
    after: Uuid,
) -> Result<Missing, Error> {
    let rows = missing::<products::Entity>(business, products::Column::Id, Kind::Product, after);
    let rows = rows.all(transaction).await?;
    Ok(Missing::of(
        &rows,
        |row| row.id.0,
        |row| fields::product(row.id, &row.sku).collect(),
    ))
}

async fn orders(
    transaction: &Transaction,
    business: BusinessId,
    after: Uuid,
) -> Result<Missing, Error> {
    use orders::Column;

    let has_any = Condition::any()
        .add(Column::Reference.is_not_null())
        .add(Column::TrackingReference.is_not_null());
    let rows = missing::<orders::Entity>(business, Column::Id, Kind::Order, after);
    let rows = rows.filter(has_any).all(transaction).await?;
    Ok(Missing::of(
        &rows,
        |row| row.id.0,
        |row| {
            let codes = [&row.reference, &row.tracking_reference];
            fields::order(row.id, codes.map(Option::as_deref)).collect()
        },
    ))
}

async fn payments(
    transaction: &Transaction,
    business: BusinessId,
    after: Uuid,
) -> Result<Missing, Error> {
    use payments::Column;

    let rows = missing::<payments::Entity>(business, Column::Id, Kind::Payment, after);
    let rows = rows.filter(Column::Reference.is_not_null());
    let rows = rows.all(transaction).await?;
    Ok(Missing::of(
        &rows,
        |row| row.id.0,
        |row| fields::payment(row.id, row.reference.as_deref()).collect(),
    ))
}
