//! `GET /api/customers/overdue`: who has owed for too long.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::overdue::{self, Overdue};
use entity::users::Role;
use entity::{Currency, CustomerId};
use serde::Serialize;
use utoipa::ToSchema;

use super::Response;
use crate::access::Signed;
use crate::endpoint::Endpoint;
use crate::query::{Page, Query};
use crate::service::State;
use crate::text::{self, Amount, Whole};

/// Days that an order may be old, if the client does not say.
const DEFAULT_DAYS: i32 = 30;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/customers/overdue", list)
            .summary(
                "List customers with an unpaid remainder on old orders, the longest overdue first",
            )
            .for_roles(&[Role::Admin, Role::Staff])
            .query::<Whole<0, 36_500>>(
                "days",
                "Orders older than so many days count; 30 if left out.",
            )
            .paged()
            .ok::<Page<OverdueView>>(),
    ]
}

/// A customer that has owed for too long.
#[derive(Debug, Serialize, ToSchema)]
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

async fn list(state: Data<State>, caller: Signed, mut query: Query) -> Response {
    let days = query.take::<Whole<0, 36_500>>("days");
    let days = days.map_or(DEFAULT_DAYS, |days| {
        days.get().try_into().unwrap_or(DEFAULT_DAYS)
    });
    let paging = query.paging();
    query.finish()?;
    let page = overdue::list(&state.database, &caller, days, &paging)
        .await
        .map_err(|error| caller.problem(error))?;
    Ok(HttpResponse::Ok().json(Page::of(page, |row| view(row, caller.currency))))
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
