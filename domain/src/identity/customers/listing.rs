//! The list of customers: filters, orders and search.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use entity::search_terms::{self, Kind};
use entity::{BusinessId, CustomerId, Tenant, customers};
use sea_orm::sea_query::{Expr, ExprTrait, JoinType, Order, Query, SelectStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter, QueryOrder, Select};
use uuid::Uuid;

use crate::foundation::retry::retry;
use crate::foundation::search::pages::{Keys, List, Searched, Way};
use crate::foundation::search::{self, Search};
use crate::{Caller, Database, Error, Page, Paging, Transaction};

/// Conditions of a list. A customer must meet all that are present.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Words of the name, email address, reference, VAT number or telephone number.
    pub search: Option<Search>,
    /// Customers whose purchases are blocked, or are not.
    pub on_hold: Option<bool>,
    /// The order of the list.
    pub sort: Sort,
}

/// The order of a list of customers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// The order in which they were added.
    #[default]
    CreatedAt,
    /// By name, without regard to case and accents.
    Name,
}

/// The place of a customer in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerKey {
    id: CustomerId,
    /// The name as it is sorted; `None` in a list that is not sorted by it.
    name: Option<String>,
}

impl CustomerKey {
    fn of(customer: &customers::Model, sort: Sort) -> Self {
        Self {
            id: customer.id,
            name: match sort {
                Sort::CreatedAt => None,
                Sort::Name => Some(search::sort_key(&customer.name)),
            },
        }
    }
}

impl fmt::Display for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            None => self.id.fmt(f),
            Some(name) => write!(f, "{} {name}", self.id),
        }
    }
}

impl FromStr for CustomerKey {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, name) = match text.split_once(' ') {
            None => (text, None),
            Some((id, name)) => (id, Some(name.to_owned())),
        };
        Ok(Self {
            id: id.parse()?,
            name,
        })
    }
}

/// Lists customers.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    filter: &Filter,
    paging: &Paging<CustomerKey>,
) -> Result<Page<customers::Model, CustomerKey>, Error> {
    let business = caller.business_id;
    let rows = retry(|| async {
        let transaction = database.begin_snapshot(business, &search::SETTINGS).await?;
        let rows = match filter.sort {
            Sort::Name => by_name(&transaction, business, filter, paging).await?,
            Sort::CreatedAt => {
                let list = by_id(business, filter, paging.after.as_ref());
                let search = filter.search.as_ref();
                let rows = list.rows(&transaction, search, paging.rows()).await?;
                let rows = rows.order_by_asc(customers::Column::Id);
                rows.all(&transaction).await?
            }
        };
        transaction.commit().await?;
        Ok(rows)
    });
    Ok(Page::of(rows.await?, paging, |customer| {
        CustomerKey::of(customer, filter.sort)
    }))
}

/// The number of customers that the list has, up to `most`.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn count(
    database: &Database,
    caller: &Caller,
    filter: &Filter,
    most: u64,
) -> Result<u64, Error> {
    let business = caller.business_id;
    retry(|| async {
        let transaction = database.begin_snapshot(business, &search::SETTINGS).await?;
        let list = by_id(business, filter, None);
        let search = filter.search.as_ref();
        let count = list.count(&transaction, search, most).await?;
        transaction.commit().await?;
        Ok(count)
    })
    .await
}

fn rest(business: BusinessId, after: Option<&CustomerKey>) -> Select<customers::Entity> {
    let all = customers::Entity::of(business);
    match after {
        Some(after) => all.filter(customers::Column::Id.gt(after.id)),
        None => all,
    }
}

fn filtered(
    business: BusinessId,
    filter: &Filter,
    after: Option<&CustomerKey>,
) -> Select<customers::Entity> {
    let rows = rest(business, after);
    match filter.on_hold {
        Some(on_hold) => rows.filter(customers::Column::OnHold.eq(on_hold)),
        None => rows,
    }
}

/// The list from the start of the page on.
fn by_id(
    business: BusinessId,
    filter: &Filter,
    after: Option<&CustomerKey>,
) -> List<customers::Entity> {
    List {
        business,
        rest: rest(business, after),
        filtered: filtered(business, filter, after),
        order: Order::Asc,
    }
}

impl Searched for customers::Entity {
    const ID: customers::Column = customers::Column::Id;

    async fn ways<'a>(
        transaction: &Transaction,
        business: BusinessId,
        search: &'a Search,
    ) -> Result<Vec<Way<'a, Self>>, Error> {
        let kinds = [Kind::Customer];
        let [found] = search.look_up(transaction, business, kinds).await?;
        Ok(vec![Way::Own(found)])
    }
}

/// The rows of a page by name. The terms of kind `customer_name` are the index of this order.
async fn by_name(
    transaction: &Transaction,
    business: BusinessId,
    filter: &Filter,
    paging: &Paging<CustomerKey>,
) -> Result<Vec<customers::Model>, Error> {
    let mut names = names(business, filter, paging.after.as_ref());
    names.limit(paging.rows());
    if let Some(search) = &filter.search {
        let [found] = search
            .look_up(transaction, business, [Kind::Customer])
            .await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let keys = Keys::of(transaction, &found).await?;
        let id = Expr::col(("name", search_terms::Column::EntityId));
        // Few names are looked up. Otherwise the names are walked in their order.
        names.and_where(match keys.are_few() {
            true => id.in_subquery(keys.select()),
            false => keys.contain(id),
        });
    }
    let ids = transaction.query_all(&names).await?;
    let ids = ids.iter().map(|row| row.try_get("", "entity_id"));
    let ids: Vec<Uuid> = ids.collect::<Result<_, _>>()?;
    of_ids(transaction, business, ids).await
}

/// The ids of customers by name, from the start of the page on.
fn names(business: BusinessId, filter: &Filter, after: Option<&CustomerKey>) -> SelectStatement {
    use search_terms::Column;

    let column = |column: Column| Expr::col(("name", column));
    let mut names = Query::select();
    names
        .column(("name", Column::EntityId))
        .from_as(search_terms::Entity, "name")
        .and_where(column(Column::BusinessId).eq(business))
        .and_where(column(Column::Kind).eq(Kind::CustomerName))
        .order_by(("name", Column::Term), Order::Asc)
        .order_by(("name", Column::EntityId), Order::Asc);
    if let Some(CustomerKey {
        id,
        name: Some(name),
    }) = after
    {
        let place = Expr::tuple([column(Column::Term), column(Column::EntityId)]);
        names.and_where(place.gt(Expr::tuple([Expr::val(name.as_str()), Expr::val(id.0)])));
    }
    if let Some(on_hold) = filter.on_hold {
        let customer = customers::Column::Id.into_expr();
        names
            .join(
                JoinType::InnerJoin,
                customers::Entity,
                customer.eq(column(Column::EntityId)),
            )
            .and_where(customers::Column::BusinessId.eq(business))
            .and_where(customers::Column::OnHold.eq(on_hold));
    }
    names
}

/// The customers with these ids, in their order.
async fn of_ids(
    transaction: &Transaction,
    business: BusinessId,
    ids: Vec<Uuid>,
) -> Result<Vec<customers::Model>, Error> {
    let rows = customers::Entity::of(business)
        .filter(customers::Column::Id.eq_any(ids.clone()))
        .all(transaction)
        .await?;
    let mut rows: HashMap<Uuid, customers::Model> =
        rows.into_iter().map(|row| (row.id.0, row)).collect();
    Ok(ids.iter().filter_map(|id| rows.remove(id)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_the_round_trip() {
        for name in [None, Some("ada lovelace".to_owned())] {
            let key = CustomerKey {
                id: CustomerId::new(),
                name,
            };
            assert_eq!(key.to_string().parse::<CustomerKey>().unwrap(), key);
        }
        assert!("ada".parse::<CustomerKey>().is_err());
    }
}
