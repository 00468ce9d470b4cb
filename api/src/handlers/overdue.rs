//! `GET /api/customers/overdue`: customers with unpaid orders past due.

use chrono::{DateTime, Utc};
use domain::receivables::overdue::{self, By, Criterion, Overdue};
use domain::{Database, Paging};
use entity::users::Role;
use entity::{Currency, CustomerId};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use crate::access::Authenticated;
use crate::http::listing::Listing;
use crate::schema::endpoint::Endpoint;
use crate::schema::query::{Page, Query};
use crate::schema::response::Response;
use crate::schema::text::{self, Amount, FromText, Whole};

/// The default of days past due.
const DEFAULT_DAYS: u32 = 30;

/// A number of days, at most a hundred years.
type Days = Whole<0, 36_500>;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listOverdueCustomers", "/api/customers/overdue", list)
            .summary(
                "List customers with an unpaid remainder on orders that are past due, the longest overdue first",
            )
            .for_roles(&[Role::Admin, Role::Staff])
            .query::<Days>(
                "days",
                "Counts orders that are past due by more than this many days of the business, as in aging; 30 if left out.",
            )
            .query::<By>(
                "by",
                "The compared date; `due_date` if left out. With `order_date`, orders created more than `days` times \
                 24 hours ago count, due or not.",
            )
            .paged()
            .ok::<Page<OverdueView>>(),
    ]
}

const BY_WORDS: [(&str, By); 2] = [("due_date", By::DueDate), ("order_date", By::OrderDate)];

impl FromText for By {
    fn from_text(text: &str) -> Result<Self, String> {
        let word = BY_WORDS.iter().find(|(word, _)| *word == text);
        word.map(|(_, by)| *by)
            .ok_or_else(|| "must be one of due_date, order_date".to_owned())
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .enum_values(Some(BY_WORDS.map(|(word, _)| word)))
            .into()
    }
}

/// An overdue customer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "customer_name": "Ada Lovelace", "balance": "600.00", "overdue_amount": "200.00", "days_since_order": 45,
}))]
pub(super) struct OverdueView {
    customer_id: CustomerId,
    customer_name: String,
    currency: Currency,
    /// All that the customer owes.
    balance: Amount,
    /// The customer's debt on the orders that count.
    overdue_amount: Amount,
    /// When the oldest of these orders was placed.
    #[serde(serialize_with = "text::time")]
    oldest_order_date: DateTime<Utc>,
    /// Whole days of 24 hours since then.
    days_since_order: i32,
    /// The earliest due date of these orders.
    #[serde(serialize_with = "text::time")]
    oldest_due_at: DateTime<Utc>,
    /// Calendar days of the business from then to today; 0 while none of these orders is past due.
    days_past_due: i32,
}

async fn list(lists: Listing, caller: Authenticated, mut query: Query) -> Response {
    let days = query.take::<Days>("days");
    let criterion = Criterion {
        by: query.take("by").unwrap_or(By::DueDate),
        days: days.map_or(DEFAULT_DAYS, |days| {
            days.get().try_into().unwrap_or(DEFAULT_DAYS)
        }),
    };
    let currency = caller.currency;
    let read = async move |database: &Database, paging: &Paging<_>| {
        let list = overdue::list(database, &caller, criterion, paging).await;
        list.map(|list| list.page)
    };
    lists
        .answer(query, currency, read, move |row| view(row, currency))
        .await
}

fn view(row: Overdue, currency: Currency) -> OverdueView {
    OverdueView {
        customer_id: row.customer_id,
        customer_name: row.customer_name,
        currency,
        balance: Amount::of(row.balance, currency),
        overdue_amount: Amount::of(row.overdue_amount, currency),
        oldest_order_date: row.oldest_order_date,
        days_since_order: row.days_since_order,
        oldest_due_at: row.oldest_due_at,
        days_past_due: row.days_past_due,
    }
}
