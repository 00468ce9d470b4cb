//! `GET /api/customers/overdue`: who has owed for too long.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::Caller;
use domain::overdue::{self, Overdue, Place};
use entity::users::Role;
use entity::{Currency, CustomerId};
use serde::Serialize;
use utoipa::ToSchema;

use super::Response;
use crate::accept::Form;
use crate::access::Signed;
use crate::endpoint::Endpoint;
use crate::idle::Watched;
use crate::query::{Page, Query};
use crate::service::State;
use crate::sheet::{self, Columns, Dialect};
use crate::text::{self, Amount, Whole};

/// Days that an order may be old, if the client does not say.
const DEFAULT_DAYS: i32 = 30;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listOverdueCustomers", "/api/customers/overdue", list)
            .summary(
                "List customers with an unpaid remainder on old orders, the longest overdue first",
            )
            .for_roles(&[Role::Admin, Role::Staff])
            .query::<Whole<0, 36_500>>(
                "days",
                "Orders older than so many days count; 30 if left out.",
            )
            .paged()
            .ok::<Page<OverdueView>>()
            .or_csv(),
    ]
}

/// A customer that has owed for too long.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "customer_name": "Ada Lovelace", "balance": "600.00", "overdue_amount": "200.00", "days_since_order": 45,
}))]
pub(super) struct OverdueView {
    customer_id: CustomerId,
    customer_name: String,
    currency: Currency,
    /// All that it owes.
    balance: Amount,
    /// What it owes on the orders that are older.
    overdue_amount: Amount,
    /// When the oldest of them was made.
    #[serde(serialize_with = "text::time")]
    oldest_order_date: DateTime<Utc>,
    /// Whole days since then.
    days_since_order: i32,
}

async fn list(
    state: Data<State>,
    caller: Signed,
    form: Form,
    watched: Watched,
    mut query: Query,
) -> Response {
    let days = query.take::<Whole<0, 36_500>>("days");
    let days = days.map_or(DEFAULT_DAYS, |days| {
        days.get().try_into().unwrap_or(DEFAULT_DAYS)
    });
    let dialect = Dialect::take(&mut query);
    if form == Form::Csv {
        query.finish()?;
        return sheet(&state, &caller, days, (dialect, watched)).await;
    }
    let paging = query.paging();
    query.finish()?;
    let page = overdue::list(&state.database, &caller, days, &paging)
        .await
        .map_err(|error| caller.problem(error))?;
    Ok(HttpResponse::Ok()
        .insert_header(Form::VARY)
        .json(Page::of(page, |row| view(row, caller.currency))))
}

/// The whole list as a table.
async fn sheet(
    state: &State,
    caller: &Signed,
    days: i32,
    (dialect, watched): (Dialect, Watched),
) -> Response {
    let (database, own) = (state.database.clone(), Caller::clone(caller));
    let currency = own.currency;
    let first = overdue::list(&database, &own, days, &sheet::page(None))
        .await
        .map_err(|error| caller.problem(error))?;
    let next = move |place: Place| {
        let (database, own) = (database.clone(), own.clone());
        async move { overdue::list(&database, &own, days, &sheet::page(Some(place))).await }
    };
    let line = move |row: &Overdue| {
        vec![
            row.customer_id.to_string(),
            sheet::text(&row.customer_name),
            currency.to_string(),
            row.balance.to_text(currency),
            row.overdue_amount.to_text(currency),
            text::rfc3339(&row.oldest_order_date),
            row.days_since_order.to_string(),
        ]
    };
    let columns = Columns {
        dialect,
        heads: &[
            "customer_id",
            "customer_name",
            "currency",
            "balance",
            "overdue_amount",
            "oldest_order_date",
            "days_since_order",
        ],
        line,
    };
    let name = format!("overdue-{}", Utc::now().date_naive());
    Ok(sheet::streamed(&name, watched, columns, first, next))
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
    }
}
