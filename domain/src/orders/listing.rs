//! The list of orders: filters, orders and search.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use entity::orders::{Attention, PaymentMethod, Status};
use entity::search_terms::Kind;
use entity::{
    BusinessId, CustomerId, Money, OrderId, OrderNumber, ProductId, Tenant, order_items, orders,
};
use sea_orm::sea_query::extension::postgres::PgFunc;
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query};
use sea_orm::{
    ActiveEnum, ColumnTrait, Condition, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};

use crate::foundation::clock;
use crate::foundation::dates::{self, When};
use crate::foundation::retry::retry;
use crate::foundation::search::pages::{Keys, List, Searched, Way};
use crate::foundation::search::{self, Search};
use crate::identity::customers;
use crate::{Caller, Database, Error, Page, Paging, Transaction};

/// Conditions of a list. An order must meet all that are present.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The beginning of the number, or words of the references, of the customer's name, email address and so on, or of a
    /// SKU.
    pub search: Option<Search>,
    /// Orders with one of these statuses; all without any.
    pub status: Vec<Status>,
    /// Orders of this customer.
    pub customer_id: Option<CustomerId>,
    /// Orders with this product.
    pub product_id: Option<ProductId>,
    /// Orders with this payment method.
    pub payment_method: Option<PaymentMethod>,
    /// Placed at this time or later.
    pub created_from: Option<When>,
    /// Placed before this time, or on this day at the latest.
    pub created_to: Option<When>,
    /// Orders with this total or a greater one.
    pub total_min: Option<Money>,
    /// Orders with this total or a smaller one.
    pub total_max: Option<Money>,
    /// Orders on credit with an amount due, or all others.
    pub unpaid: Option<bool>,
    /// Unpaid orders whose due date has passed, or all others. Days are those of the business.
    pub overdue: Option<bool>,
    /// Orders that need a person's attention.
    pub attention: Option<Wanting>,
    /// The order of the list.
    pub sort: Sort,
}

/// Which orders that need attention are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanting {
    /// For any reason.
    Any,
    /// For this reason, possibly among others.
    One(Attention),
}

/// The order of a list of orders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// The newest first.
    #[default]
    Newest,
    /// The oldest first.
    Oldest,
    /// Those that are due for longest first. Only for unpaid orders, without a search.
    DueAt,
}

/// The place of an order in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderKey {
    id: OrderId,
    /// The sort key of an order in a list by due date; `None` in others.
    due: Option<(DateTime<Utc>, CustomerId)>,
}

impl OrderKey {
    fn of(order: &orders::Model, sort: Sort) -> Self {
        Self {
            id: order.id,
            due: match sort {
                Sort::Newest | Sort::Oldest => None,
                Sort::DueAt => Some((order.due_at, order.customer_id)),
            },
        }
    }

    /// Whether it is a place in a list of this order.
    #[must_use]
    pub fn is_of(&self, sort: Sort) -> bool {
        self.due.is_some() == (sort == Sort::DueAt)
    }
}

impl fmt::Display for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.due {
            None => self.id.fmt(f),
            Some((due_at, customer)) => {
                write!(f, "{} {customer} {}", self.id, due_at.timestamp_micros())
            }
        }
    }
}

/// A text that is no place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the place of an order in a list")]
pub struct NoPlace;

impl FromStr for OrderKey {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let id = |text: &str| text.parse::<OrderId>().map_err(|_not_uuid| NoPlace);
        let Some((order, due)) = text.split_once(' ') else {
            return Ok(Self {
                id: id(text)?,
                due: None,
            });
        };
        let (customer, micros) = due.split_once(' ').ok_or(NoPlace)?;
        let customer = customer.parse().map_err(|_not_uuid| NoPlace)?;
        let micros = micros.parse().map_err(|_no_number| NoPlace)?;
        let due_at = DateTime::from_timestamp_micros(micros).ok_or(NoPlace)?;
        Ok(Self {
            id: id(order)?,
            due: Some((due_at, customer)),
        })
    }
}

/// An order of a list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The order.
    pub order: orders::Model,
    /// The name of its customer.
    pub customer_name: String,
}

/// Lists orders without their items. Customers see their own only.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    filter: &Filter,
    paging: &Paging<OrderKey>,
) -> Result<Page<Listed, OrderKey>, Error> {
    let business = caller.business_id;
    let filtered = filtered(database, caller, filter).await?;
    let filtered = from(filtered, filter.sort, paging.after.as_ref());
    retry(|| async {
        let transaction = database.begin_snapshot(business, &search::SETTINGS).await?;
        let list = by_id(business, &filtered, filter.sort, paging.after.as_ref());
        let search = filter.search.as_ref();
        let rows = list.rows(&transaction, search, paging.rows()).await?;
        let rows = sorted(rows, filter.sort).all(&transaction).await?;
        let place = |order: &orders::Model| OrderKey::of(order, filter.sort);
        let page = Page::of(rows, paging, place);
        let rows = with_names(&transaction, business, page.rows).await?;
        transaction.commit().await?;
        Ok(Page {
            rows,
            next: page.next,
        })
    })
    .await
}

/// Those of these orders that the caller may see, the newest first.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn with_ids(
    database: &Database,
    caller: &Caller,
    ids: &[OrderId],
) -> Result<Vec<Listed>, Error> {
    let business = caller.business_id;
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let rows = orders::Entity::of(business)
            .filter(orders::Column::Id.eq_any(ids.to_vec()))
            .order_by_desc(orders::Column::Id)
            .all(&transaction)
            .await?;
        let rows = rows.into_iter();
        let rows = rows.filter(|order| caller.may_act_for(order.customer_id));
        let listed = with_names(&transaction, business, rows.collect()).await?;
        transaction.commit().await?;
        Ok(listed)
    })
    .await
}

/// These orders with the names of their customers. One round trip.
pub(super) async fn with_names(
    transaction: &Transaction,
    business: BusinessId,
    orders: Vec<orders::Model>,
) -> Result<Vec<Listed>, Error> {
    let customers = orders.iter().map(|order| order.customer_id);
    let names = customers::names(transaction, business, customers).await?;
    let listed = orders.into_iter().map(|order| Listed {
        customer_name: names.get(&order.customer_id).cloned().unwrap_or_default(),
        order,
    });
    Ok(listed.collect())
}

/// The number of orders that the list has, up to `most`.
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
    let filtered = filtered(database, caller, filter).await?;
    retry(|| async {
        let transaction = database.begin_snapshot(business, &search::SETTINGS).await?;
        let list = by_id(business, &filtered, filter.sort, None);
        let search = filter.search.as_ref();
        let count = list.count(&transaction, search, most).await?;
        transaction.commit().await?;
        Ok(count)
    })
    .await
}

/// The orders that meet the filter, its search aside.
async fn filtered(
    database: &Database,
    caller: &Caller,
    filter: &Filter,
) -> Result<Select<orders::Entity>, Error> {
    use orders::Column;

    let conditions = Condition::all()
        .add_option(caller.confined_to().map(|own| Column::CustomerId.eq(own)))
        .add_option(filter.customer_id.map(|id| Column::CustomerId.eq(id)))
        .add_option(filter.product_id.map(|id| has(caller.business_id, id)))
        .add_option(
            filter
                .payment_method
                .map(|method| Column::PaymentMethod.eq(method)),
        )
        .add_option(filter.total_min.map(|total| Column::TotalAmount.gte(total)))
        .add_option(filter.total_max.map(|total| Column::TotalAmount.lte(total)))
        .add_option(filter.attention.map(needs_attention));
    let mut select = orders::Entity::of(caller.business_id).filter(conditions);
    match filter.status.as_slice() {
        [] => {}
        [status] => select = select.filter(Column::Status.eq(*status)),
        several => select = select.filter(Column::Status.is_in(several.iter().copied())),
    }
    if let Some(unpaid) = filter.unpaid {
        let condition = match unpaid {
            true => is_unpaid(),
            false => is_unpaid().not(),
        };
        select = select.filter(condition);
    }
    if let Some(overdue) = filter.overdue {
        let clock = clock::read(database, caller.business_id).await?;
        let bound = dates::past_due_bound(clock.time_zone, clock.today(), 0);
        let condition = is_unpaid().and(Column::DueAt.lt(bound));
        let condition = match overdue {
            true => condition,
            false => condition.not(),
        };
        select = select.filter(condition);
    }
    let span = (filter.created_from, filter.created_to);
    clock::within(database, caller, select, Column::CreatedAt, span).await
}

/// The condition of the partial indexes of unpaid orders, which the planner must find in the query to use them.
pub(crate) fn is_unpaid() -> Expr {
    let has_amount_due = orders::Column::AmountDue.gt(Money::ZERO);
    has_amount_due.and(orders::Column::PaymentMethod.eq(PaymentMethod::Credit))
}

fn needs_attention(wanting: Wanting) -> Expr {
    // The condition of the partial index must be repeated for the planner to use it.
    let any = orders::Column::Attention.is_not_null();
    match wanting {
        Wanting::Any => any,
        Wanting::One(reason) => {
            let reasons = PgFunc::any(Expr::col(orders::Column::Attention));
            any.and(Expr::val(reason.to_value()).eq(reasons))
        }
    }
}

/// Whether the order has this product. The planner knows how common the product is.
fn has(business: BusinessId, product: ProductId) -> Expr {
    let with_it = order_items::Entity::of(business)
        .select_only()
        .column(order_items::Column::OrderId)
        .filter(order_items::Column::ProductId.eq(product));
    orders::Column::Id.in_subquery(with_it.into_query())
}

/// Keeps what follows a place.
fn from(
    select: Select<orders::Entity>,
    sort: Sort,
    after: Option<&OrderKey>,
) -> Select<orders::Entity> {
    use orders::Column;

    let Some(after) = after else {
        return select;
    };
    match (sort, after.due) {
        (Sort::Newest, _) => select.filter(Column::Id.lt(after.id)),
        (Sort::DueAt, Some((due_at, customer))) => {
            let columns = [Column::DueAt, Column::CustomerId, Column::Id];
            let place = Expr::tuple(columns.map(|column| column.into_expr()));
            let values = [Expr::val(due_at), Expr::val(customer), Expr::val(after.id)];
            select.filter(place.gt(Expr::tuple(values)))
        }
        (Sort::Oldest | Sort::DueAt, _) => select.filter(Column::Id.gt(after.id)),
    }
}

fn sorted(select: Select<orders::Entity>, sort: Sort) -> Select<orders::Entity> {
    use orders::Column;

    match sort {
        Sort::Newest => select.order_by_desc(Column::Id),
        Sort::Oldest => select.order_by_asc(Column::Id),
        // The columns of the index of unpaid orders, so that a page of orders with one due date is not sorted.
        Sort::DueAt => select
            .order_by_asc(Column::DueAt)
            .order_by_asc(Column::CustomerId)
            .order_by_asc(Column::Id),
    }
}

/// The list from the start of the page on. A list by due date has no search.
fn by_id(
    business: BusinessId,
    filtered: &Select<orders::Entity>,
    sort: Sort,
    after: Option<&OrderKey>,
) -> List<orders::Entity> {
    List {
        business,
        rest: from(orders::Entity::of(business), sort, after),
        filtered: filtered.clone(),
        order: match sort {
            Sort::Newest => Order::Desc,
            Sort::Oldest | Sort::DueAt => Order::Asc,
        },
    }
}

impl Searched for orders::Entity {
    const ID: orders::Column = orders::Column::Id;

    /// An order is found by its number, its references, its customer and the SKUs of its items.
    async fn ways<'a>(
        transaction: &Transaction,
        business: BusinessId,
        search: &'a Search,
    ) -> Result<Vec<Way<'a, Self>>, Error> {
        use orders::Column;

        let kinds = [Kind::Order, Kind::Customer, Kind::Product];
        let [references, customers, products] =
            search.look_up(transaction, business, kinds).await?;
        let number = OrderNumber::ids_beginning_with(search.text()).map(|ids| {
            let from = Column::Id.gte(*ids.start());
            Way::Range(from.and(Column::Id.lte(*ids.end())))
        });
        let terms = [
            Way::Own(references),
            Way::Of {
                found: customers,
                rows: |rows, id| rows.filter(Column::CustomerId.into_expr().eq(id)),
                belongs: |_, keys| keys.contain(Column::CustomerId.into_expr()),
                is_first: None,
            },
            Way::Of {
                found: products,
                rows: with_item,
                belongs: has_item,
                is_first: Some(is_first_product),
            },
        ];
        Ok(number.into_iter().chain(terms).collect())
    }
}

/// The orders with an item of this product.
fn with_item(rows: Select<orders::Entity>, product: Expr) -> Select<orders::Entity> {
    use order_items::Column;

    rows.inner_join(order_items::Entity)
        .filter(Column::ProductId.into_expr().eq(product))
}

/// Whether the order has an item of a found product.
fn has_item(business: BusinessId, products: &Keys<'_>) -> Expr {
    let item = item(business, |product| products.contain(product));
    Expr::cust_with_expr("$1 IS TRUE", item)
}

/// Whether the order has no item of a found product with a lower id than this.
fn is_first_product(business: BusinessId, products: &Keys<'_>, first: Expr) -> Expr {
    let is_lower = |product: Expr| product.clone().lt(first).and(products.contain(product));
    Expr::cust_with_expr("$1 IS NOT TRUE", item(business, is_lower))
}

/// True if the order has an item whose product meets a condition, otherwise null. A scalar subquery, which is not turned
/// into a join with all items.
fn item(business: BusinessId, condition: impl FnOnce(Expr) -> Expr) -> Expr {
    use order_items::Column;

    let column = |column: Column| Expr::col(("item", column));
    let items = Query::select()
        .expr(Expr::cust("TRUE"))
        .from_as(order_items::Entity, "item")
        .and_where(column(Column::BusinessId).eq(business))
        .and_where(column(Column::OrderId).equals(orders::Column::Id.as_column_ref()))
        .and_where(condition(column(Column::ProductId)))
        .limit(1)
        .to_owned();
    Expr::SubQuery(None, Box::new(items.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_the_round_trip() {
        let at = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        for due in [None, Some((at, CustomerId::new()))] {
            let key = OrderKey {
                id: OrderId::new(),
                due,
            };
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        for text in ["", "order", &format!("{} 5", OrderId::new())] {
            assert_eq!(text.parse::<OrderKey>(), Err(NoPlace), "{text}");
        }
    }
}
