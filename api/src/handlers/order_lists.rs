//! `/api/orders`: the lists of orders.

use domain::foundation::dates::When;
use domain::foundation::search::Search;
use domain::orders::{self, Filter, Listed, OrderKey, Sort, Wanting, changes};
use domain::{Caller, Database, Paging};
use entity::orders::{Attention, PaymentMethod, Status};
use entity::users::Role;
use entity::{Currency, CustomerId, ProductId};
use sea_orm::{ActiveEnum, Iterable};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use super::orders::{EVERYONE, OrderView};
use crate::access::Authenticated;
use crate::http::listing::Listing;
use crate::schema::endpoint::Endpoint;
use crate::schema::query::{CountedPage, Query, ROWS_TO_COUNT};
use crate::schema::response::Response;
use crate::schema::text::{AmountText, FromText, Several};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listOrders", "/api/orders", list)
            .summary("List orders, the newest first; a customer sees their own")
            .for_roles(EVERYONE)
            .query::<CustomerId>("customer_id", "Only orders of this customer.")
            .query::<WantingAttention>(
                "attention",
                "Only orders that need manual review: `true` for any reason, or one reason.",
            )
            .filtered()
            .paged()
            .followed()
            .counted()
            .ok::<CountedPage<ListedOrderView>>(),
        Endpoint::get("listMyOrders", "/api/orders/my-orders", my_orders)
            .summary("List the customer's own orders, the newest first")
            .for_roles(&[Role::Customer])
            .filtered()
            .paged()
            .counted()
            .ok::<CountedPage<ListedOrderView>>(),
    ]
}

impl Endpoint {
    /// Adds the filters that both lists of orders have.
    fn filtered(self) -> Self {
        self.query::<Search>(
            "q",
            "The beginning of the number, or words of a reference, the customer or a SKU.",
        )
        .query::<Several<Status>>("status", "Only orders with one of these statuses, with commas between them.")
        .query::<ProductId>("product_id", "Only orders with this product.")
        .query::<PaymentMethod>("payment_method", "Only orders with this payment method.")
        .query::<When>("created_from", "Created at this time or later.")
        .query::<When>("created_to", "Created before this time, or until the end of this date.")
        .query::<AmountText>("total_min", "Only orders with this total or a greater one.")
        .query::<AmountText>("total_max", "Only orders with this total or a smaller one.")
        .query::<bool>("unpaid", "True: only orders on credit with an amount due; false: all others.")
        .query::<bool>("overdue", "True: only unpaid orders that are past due; false: all others.")
        .query::<Sort>(
            "sort",
            "The order of the list; `-created_at` if left out. `due_at` needs `unpaid=true` or `overdue=true`, and no `q`.",
        )
    }
}

impl FromText for Sort {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "-created_at" => Ok(Self::Newest),
            "created_at" => Ok(Self::Oldest),
            "due_at" => Ok(Self::DueAt),
            _ => Err("must be one of -created_at, created_at, due_at".to_owned()),
        }
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .enum_values(Some(["-created_at", "created_at", "due_at"]))
            .into()
    }
}

/// A filter: orders that need a person's attention.
struct WantingAttention(Wanting);

impl FromText for WantingAttention {
    fn from_text(text: &str) -> Result<Self, String> {
        if text == "true" {
            return Ok(Self(Wanting::Any));
        }
        let reason = Attention::try_from_value(&text.to_owned());
        let reason =
            reason.map_err(|_unknown| format!("must be one of {}", values().join(", ")))?;
        Ok(Self(Wanting::One(reason)))
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .enum_values(Some(values()))
            .into()
    }
}

/// The values of the query parameter.
fn values() -> Vec<String> {
    let reasons = Attention::iter().map(|reason| reason.to_value());
    std::iter::once("true".to_owned()).chain(reasons).collect()
}

/// An order of a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"customer_name": "Ada Lovelace"}))]
pub(super) struct ListedOrderView {
    #[serde(flatten)]
    order: OrderView,
    customer_name: String,
}

impl ListedOrderView {
    fn of(listed: Listed, reader: &Caller) -> Self {
        Self {
            order: OrderView::of(&listed.order, reader),
            customer_name: listed.customer_name,
        }
    }
}

async fn list(lists: Listing, caller: Authenticated, mut query: Query) -> Response {
    if let Some(following) = lists.following(&mut query) {
        query.finish()?;
        let changes = changes::list_changes(lists.database(), &caller, &following).await;
        return caller.answer(
            changes.map(|page| lists.changes(page, |listed| ListedOrderView::of(listed, &caller))),
        );
    }
    let filter = filter(&mut query, caller.currency);
    page(lists, caller, filter, query).await
}

async fn my_orders(lists: Listing, caller: Authenticated, mut query: Query) -> Response {
    let filter = common(&mut query, caller.currency);
    page(lists, caller, filter, query).await
}

/// All orders that the filters of the query select, as CSV.
pub(crate) async fn table(lists: Listing, caller: Authenticated, mut query: Query) -> Response {
    let filter = filter(&mut query, caller.currency);
    page(lists, caller, filter, query).await
}

/// Reads the filters and the order of the list of all orders.
pub(crate) fn filter(query: &mut Query, currency: Currency) -> Filter {
    let attention = query.take::<WantingAttention>("attention");
    Filter {
        customer_id: query.take("customer_id"),
        attention: attention.map(|wanted| wanted.0),
        ..common(query, currency)
    }
}

/// Reads the filters and the order that every list of orders has.
fn common(query: &mut Query, currency: Currency) -> Filter {
    let (total_min, total_max) = query.amounts(("total_min", "total_max"), currency);
    let (created_from, created_to) = query.span(("created_from", "created_to"));
    let mut filter = Filter {
        search: query.take("q"),
        status: query
            .take::<Several<Status>>("status")
            .map_or_else(Vec::new, |several| several.0),
        product_id: query.take("product_id"),
        payment_method: query.take("payment_method"),
        created_from,
        created_to,
        total_min,
        total_max,
        unpaid: query.take("unpaid"),
        overdue: query.take("overdue"),
        sort: query.take("sort").unwrap_or_default(),
        ..Filter::default()
    };
    if filter.sort == Sort::DueAt {
        let is_of_unpaid = filter.unpaid == Some(true) || filter.overdue == Some(true);
        if !is_of_unpaid {
            query.fault("sort", "due_at needs unpaid=true or overdue=true");
        }
        if filter.search.is_some() {
            query.fault("sort", "due_at is not possible together with q");
        }
        if !is_of_unpaid || filter.search.is_some() {
            filter.sort = Sort::default();
        }
    }
    filter
}

/// The orders that the caller may see and that match the filter.
async fn page(lists: Listing, caller: Authenticated, filter: Filter, query: Query) -> Response {
    let (currency, reader) = (caller.currency, caller.clone());
    let (counter, counted) = (caller.clone(), filter.clone());
    let count = async move |database: &Database| {
        orders::count(database, &counter, &counted, ROWS_TO_COUNT).await
    };
    let read = async move |database: &Database, paging: &Paging<OrderKey>| {
        orders::list(database, &caller, &filter, paging).await
    };
    let view = move |listed| ListedOrderView::of(listed, &reader);
    lists
        .counted(count)
        .answer(query, currency, read, view)
        .await
}
