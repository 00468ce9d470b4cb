//! `GET /api/reports/aging`: what each customer owes at a date, by days past due.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, NaiveDate, Utc};
use domain::Caller;
use domain::foundation::dates::When;
use domain::receivables::aging::{self, Aged, Buckets};
use entity::users::Role;
use entity::{Currency, CustomerId, Money};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Authenticated;
use crate::http::connection_progress::Watched;
use crate::http::csv::{self, Columns};
use crate::schema::content_negotiation::Form;
use crate::schema::csv_dialect::{Dialect, Requested};
use crate::schema::csv_text;
use crate::schema::endpoint::Endpoint;
use crate::schema::query::{Page, Query};
use crate::schema::response::Response;
use crate::schema::text::{self, Amount};
use crate::state::State;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("getAgingReport", "/api/reports/aging", report)
            .summary("List what each customer owes by days past due, at a date; page one has the totals of all customers")
            .for_roles(&[Role::Admin, Role::Staff])
            .query::<When>(
                "as_of",
                "Entries before this moment, or until the end of this day of the business; now if left out or today. \
                 At most 2 minutes in the future.",
            )
            .paged()
            .ok::<AgingView>(),
    ]
}

/// The debts of customers at a moment, by days past due.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AgingView {
    /// The moment of the report, exclusive. Further pages have the same one.
    #[serde(serialize_with = "text::time")]
    as_of: DateTime<Utc>,
    /// The last day of the report, in the time zone of the business. Days past due are counted on it.
    as_of_date: NaiveDate,
    currency: Currency,
    /// Customers that owed something or had credit on account, by id.
    data: Vec<AgedView>,
    /// The sum over all customers; null on all pages but the first.
    total: Option<BucketsView>,
    /// The `cursor` of the next page; null on the last.
    next_cursor: Option<String>,
}

/// The debts of one customer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"customer_name": "Ada Lovelace"}))]
pub(super) struct AgedView {
    customer_id: CustomerId,
    customer_name: String,
    #[serde(flatten)]
    buckets: BucketsView,
}

/// Amounts owed, by days past due on the last day of the report. The buckets less the credit on account are the
/// balance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "current": "400.00", "days_1_30": "200.00", "days_31_60": "0.00", "days_61_90": "0.00",
    "days_over_90": "0.00", "credit_on_account": "0.00", "balance": "600.00",
}))]
pub(super) struct BucketsView {
    /// Due on that day or later.
    current: Amount,
    days_1_30: Amount,
    days_31_60: Amount,
    days_61_90: Amount,
    days_over_90: Amount,
    /// Credit that settled no order.
    credit_on_account: Amount,
    balance: Amount,
}

impl BucketsView {
    fn of(buckets: &Buckets, balance: Money, currency: Currency) -> Self {
        let amount = |money| Amount::of(money, currency);
        Self {
            current: amount(buckets.current),
            days_1_30: amount(buckets.days_1_30),
            days_31_60: amount(buckets.days_31_60),
            days_61_90: amount(buckets.days_61_90),
            days_over_90: amount(buckets.days_over_90),
            credit_on_account: amount(buckets.credit_on_account),
            balance: amount(balance),
        }
    }
}

async fn report(
    state: Data<State>,
    caller: Authenticated,
    form: Form,
    watched: Watched,
    mut query: Query,
) -> Response {
    let as_of = query.take::<When>("as_of");
    let paging = match Requested::take(form, query)? {
        Requested::Page(paging) => paging,
        Requested::Table(dialect) => {
            return csv_table(&state, &caller, as_of, (dialect, watched)).await;
        }
    };
    let report = aging::report(&state.database, &caller, as_of, &paging)
        .await
        .map_err(|error| caller.problem(error))?;
    let currency = caller.currency;
    let total = report.total.as_ref();
    let page = Page::of(report.page, |row| AgedView {
        buckets: BucketsView::of(&row.buckets, row.balance, currency),
        customer_id: row.customer_id,
        customer_name: row.customer_name,
    });
    let view = AgingView {
        as_of: report.as_of,
        as_of_date: report.day,
        currency,
        data: page.data,
        total: total.map(|total| BucketsView::of(total, total.balance(), currency)),
        next_cursor: page.next_cursor,
    };
    Ok(HttpResponse::Ok().insert_header(Form::VARY).json(view))
}

/// The whole report as CSV, all pages as of the same moment.
async fn csv_table(
    state: &State,
    caller: &Authenticated,
    as_of: Option<When>,
    (dialect, watched): (Dialect, Watched),
) -> Response {
    let (database, own) = (state.database.clone(), Caller::clone(caller));
    let currency = own.currency;
    let first = aging::report(&database, &own, as_of, &csv::page(None))
        .await
        .map_err(|error| caller.problem(error))?;
    let (as_of, day) = (first.as_of, first.day);
    let next = move |place| {
        let (database, own) = (database.clone(), own.clone());
        async move {
            let paging = csv::page(Some(place));
            let next = aging::report(&database, &own, None, &paging);
            next.await.map(|report| report.page)
        }
    };
    let line = move |row: Aged| {
        let amount = |money: Money| money.to_text(currency);
        vec![
            row.customer_id.to_string(),
            csv_text::protected(&row.customer_name),
            currency.to_string(),
            text::rfc3339(&as_of),
            day.to_string(),
            amount(row.buckets.current),
            amount(row.buckets.days_1_30),
            amount(row.buckets.days_31_60),
            amount(row.buckets.days_61_90),
            amount(row.buckets.days_over_90),
            amount(row.buckets.credit_on_account),
            amount(row.balance),
        ]
    };
    let columns = Columns {
        dialect,
        heads: [
            "customer_id",
            "customer_name",
            "currency",
            "as_of",
            "as_of_date",
            "current",
            "days_1_30",
            "days_31_60",
            "days_61_90",
            "days_over_90",
            "credit_on_account",
            "balance",
        ]
        .map(str::to_owned)
        .to_vec(),
        line,
    };
    let name = format!("aging-{day}");
    Ok(csv::streamed(&name, watched, columns, first.page, next))
}
