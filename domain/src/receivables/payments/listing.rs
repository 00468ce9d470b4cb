//! The list of payments: filters and search.

use entity::search_terms::Kind;
use entity::{
    BusinessId, CustomerId, Money, OrderNumber, PaymentId, Tenant, allocations, payments,
};
use sea_orm::sea_query::{Expr, ExprTrait, Order};
use sea_orm::{ColumnTrait, Condition, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select};

use super::Payment;
use crate::foundation::clock;
use crate::foundation::dates::When;
use crate::foundation::retry::retry;
use crate::foundation::search::pages::{List, Searched, Way};
use crate::foundation::search::{self, Search};
use crate::identity::customers;
use crate::receivables::documents;
use crate::{Caller, Database, Error, Page, Paging, Transaction};

/// Conditions of a list. A payment must meet all that are present.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Words of the reference, or of the customer's name, email address and so on.
    pub search: Option<Search>,
    /// Payments of this customer.
    pub customer_id: Option<CustomerId>,
    /// Received at this time or later.
    pub received_from: Option<When>,
    /// Received before this time, or on this day at the latest.
    pub received_to: Option<When>,
    /// Payments of this amount or a greater one.
    pub amount_min: Option<Money>,
    /// Payments of this amount or a smaller one.
    pub amount_max: Option<Money>,
}

/// A payment of a list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The payment.
    pub payment: Payment,
    /// The name of its customer.
    pub customer_name: String,
}

/// Lists payments, the newest first.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    caller: &Caller,
    filter: &Filter,
    paging: &Paging<PaymentId>,
) -> Result<Page<Listed, PaymentId>, Error> {
    let business = caller.business_id;
    let filtered = rest(filtered(database, caller, filter).await?, paging.after);
    retry(|| async {
        let transaction = database.begin_snapshot(business, &search::SETTINGS).await?;
        let list = by_id(business, &filtered, paging.after);
        let search = filter.search.as_ref();
        let rows = list.rows(&transaction, search, paging.rows()).await?;
        let rows = rows.order_by_desc(payments::Column::Id);
        let rows = rows.all(&transaction).await?;
        let page = documents::with_states(&transaction, business, rows, paging).await?;
        let rows = with_names(&transaction, business, page.rows).await?;
        transaction.commit().await?;
        Ok(Page {
            rows,
            next: page.next,
        })
    })
    .await
}

/// These payments with the names of their customers. One round trip.
pub(crate) async fn with_names(
    transaction: &Transaction,
    business: BusinessId,
    payments: Vec<Payment>,
) -> Result<Vec<Listed>, Error> {
    let customers = payments.iter().map(|one| one.payment.customer_id);
    let names = customers::names(transaction, business, customers).await?;
    let listed = payments.into_iter().map(|payment| Listed {
        customer_name: names
            .get(&payment.payment.customer_id)
            .cloned()
            .unwrap_or_default(),
        payment,
    });
    Ok(listed.collect())
}

/// The number of payments that the list has, up to `most`.
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
        let list = by_id(business, &filtered, None);
        let search = filter.search.as_ref();
        let count = list.count(&transaction, search, most).await?;
        transaction.commit().await?;
        Ok(count)
    })
    .await
}

async fn filtered(
    database: &Database,
    caller: &Caller,
    filter: &Filter,
) -> Result<Select<payments::Entity>, Error> {
    use payments::Column;

    let conditions = Condition::all()
        .add_option(filter.customer_id.map(|id| Column::CustomerId.eq(id)))
        .add_option(filter.amount_min.map(|amount| Column::Amount.gte(amount)))
        .add_option(filter.amount_max.map(|amount| Column::Amount.lte(amount)));
    let all = payments::Entity::of(caller.business_id).filter(conditions);
    let span = (filter.received_from, filter.received_to);
    clock::within(database, caller, all, Column::ReceivedAt, span).await
}

fn rest(all: Select<payments::Entity>, after: Option<PaymentId>) -> Select<payments::Entity> {
    match after {
        Some(after) => all.filter(payments::Column::Id.lt(after)),
        None => all,
    }
}

/// The list from the start of the page on.
fn by_id(
    business: BusinessId,
    filtered: &Select<payments::Entity>,
    after: Option<PaymentId>,
) -> List<payments::Entity> {
    List {
        business,
        rest: rest(payments::Entity::of(business), after),
        filtered: filtered.clone(),
        order: Order::Desc,
    }
}

impl Searched for payments::Entity {
    const ID: payments::Column = payments::Column::Id;

    /// A payment is found by its reference, its customer and the whole number of an order that it settles.
    async fn ways<'a>(
        transaction: &Transaction,
        business: BusinessId,
        search: &'a Search,
    ) -> Result<Vec<Way<'a, Self>>, Error> {
        use payments::Column;

        let kinds = [Kind::Payment, Kind::Customer];
        let [references, customers] = search.look_up(transaction, business, kinds).await?;
        let of_order = of_order(transaction, business, search.text()).await?;
        let number = of_order.map(|ids| Way::Range(Column::Id.eq_any(ids)));
        let terms = [
            Way::Own(references),
            Way::Of {
                found: customers,
                rows: |rows, id| rows.filter(Column::CustomerId.into_expr().eq(id)),
                belongs: |_, keys| keys.contain(Column::CustomerId.into_expr()),
                is_first: None,
            },
        ];
        Ok(number.into_iter().chain(terms).collect())
    }
}

/// The payments that settle the order with this number, also those that were reversed. `None`, without a statement, if
/// the text is not the number of an order.
async fn of_order(
    transaction: &Transaction,
    business: BusinessId,
    text: &str,
) -> Result<Option<Vec<PaymentId>>, Error> {
    use payments::Column;

    let Some(orders) = OrderNumber::ids_with(text) else {
        return Ok(None);
    };
    let entries = allocations::Entity::of(business)
        .select_only()
        .columns([
            allocations::Column::CustomerId,
            allocations::Column::EntryNumber,
        ])
        .filter(allocations::Column::OrderId.gte(*orders.start()))
        .filter(allocations::Column::OrderId.lte(*orders.end()));
    let entry = Expr::tuple([
        Column::CustomerId.into_expr(),
        Column::EntryNumber.into_expr(),
    ]);
    let ids = payments::Entity::of(business)
        .select_only()
        .column(Column::Id)
        .filter(entry.in_subquery(entries.into_query()))
        .into_tuple()
        .all(transaction)
        .await?;
    Ok(Some(ids))
}
