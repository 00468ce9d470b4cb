//! `GET /api/reports/aging`: who owes what for how long past due, at any date.

use std::fmt;
use std::str::FromStr;

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::aging::{self, Aged, Buckets};
use domain::dates::When;
use domain::{Caller, Paging};
use entity::users::Role;
use entity::{Currency, CustomerId, Money};
use serde::Serialize;
use utoipa::ToSchema;

use super::Response;
use crate::accept::Form;
use crate::access::Signed;
use crate::endpoint::Endpoint;
use crate::idle::Watched;
use crate::query::{Cursor, Query};
use crate::service::State;
use crate::sheet::{self, Columns, Dialect};
use crate::text::{self, Amount};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("getAgingReport", "/api/reports/aging", report)
            .summary("What each customer owes by how long it is past due, at a date; all of them together on page one")
            .for_roles(&[Role::Admin, Role::Staff])
            .query::<When>(
                "as_of",
                "The end of this day in UTC, or this moment; now if left out or today. Not in the future.",
            )
            .paged()
            .ok::<AgingView>()
            .or_csv(),
    ]
}

/// What customers owed at a moment.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AgingView {
    /// The moment. Further pages are about the same one.
    #[serde(serialize_with = "text::time")]
    as_of: DateTime<Utc>,
    currency: Currency,
    /// The customers that owed something or had credit on account.
    data: Vec<AgedView>,
    /// All customers together; null on further pages.
    total: Option<BucketsView>,
    /// What to ask for as `cursor` to get the next page; null on the last.
    next_cursor: Option<String>,
}

/// What one customer owed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"customer_name": "Ada Lovelace"}))]
pub(super) struct AgedView {
    customer_id: CustomerId,
    customer_name: String,
    #[serde(flatten)]
    buckets: BucketsView,
}

/// What was owed, by how long it was past due on the day. The buckets less the credit on account are the balance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "current": "400.00", "days_1_30": "200.00", "days_31_60": "0.00", "days_61_90": "0.00",
    "days_over_90": "0.00", "credit_on_account": "0.00", "balance": "600.00",
}))]
pub(super) struct BucketsView {
    /// Due on the day or later.
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
    caller: Signed,
    form: Form,
    watched: Watched,
    mut query: Query,
) -> Response {
    let now = Utc::now();
    let asked = query.take::<When>("as_of");
    let mut as_of = asked.and_then(|asked| moment(asked, now));
    if asked.is_some_and(|asked| asked.start() > now) {
        query.fault("as_of", "must not be in the future");
    }
    let dialect = Dialect::take(&mut query);
    if form == Form::Csv {
        query.finish()?;
        return sheet(&state, &caller, as_of, (dialect, watched)).await;
    }
    let Paging { limit, after } = query.paging::<Place>();
    if let Some(place) = &after {
        if asked.is_some_and(|asked| !is_in(asked, place.as_of)) {
            query.fault("cursor", "must be the next_cursor of an earlier page");
        }
        as_of = Some(place.as_of);
    }
    query.finish()?;
    let paging = Paging {
        limit,
        after: after.map(|place| place.customer),
    };
    let report = aging::report(&state.database, &caller, as_of, &paging)
        .await
        .map_err(|error| caller.problem(error))?;
    let currency = caller.currency;
    let rows = report.page.rows.iter().map(|row| AgedView {
        customer_id: row.customer_id,
        customer_name: row.customer_name.clone(),
        buckets: BucketsView::of(&row.buckets, row.balance, currency),
    });
    let total = report.total.as_ref();
    let next = report.page.next.map(|customer| {
        let as_of = report.as_of;
        Cursor(Place { as_of, customer }).encode()
    });
    let view = AgingView {
        as_of: report.as_of,
        currency,
        data: rows.collect(),
        total: total.map(|total| BucketsView::of(total, total.balance(), currency)),
        next_cursor: next,
    };
    Ok(HttpResponse::Ok().insert_header(Form::VARY).json(view))
}

/// The moment that a report is about; none for now, which is the database's to say. Today's end is still to come.
fn moment(asked: When, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    Some(asked.last()).filter(|last| *last <= now)
}

/// Whether a page about this moment is one of the report that was asked for.
fn is_in(asked: When, at: DateTime<Utc>) -> bool {
    (asked.start()..=asked.last()).contains(&at)
}

/// The whole report as a table, all of it about the same moment.
async fn sheet(
    state: &State,
    caller: &Signed,
    as_of: Option<DateTime<Utc>>,
    (dialect, watched): (Dialect, Watched),
) -> Response {
    let (database, own) = (state.database.clone(), Caller::clone(caller));
    let currency = own.currency;
    let first = aging::report(&database, &own, as_of, &sheet::page(None))
        .await
        .map_err(|error| caller.problem(error))?;
    let as_of = first.as_of;
    let next = move |customer| {
        let (database, own) = (database.clone(), own.clone());
        async move {
            let paging = sheet::page(Some(customer));
            let next = aging::report(&database, &own, Some(as_of), &paging);
            next.await.map(|report| report.page)
        }
    };
    let line = move |row: &Aged| {
        let amount = |money: Money| money.to_text(currency);
        vec![
            row.customer_id.to_string(),
            sheet::text(&row.customer_name),
            currency.to_string(),
            text::rfc3339(&as_of),
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
        heads: &[
            "customer_id",
            "customer_name",
            "currency",
            "as_of",
            "current",
            "days_1_30",
            "days_31_60",
            "days_61_90",
            "days_over_90",
            "credit_on_account",
            "balance",
        ],
        line,
    };
    let name = format!("aging-{}", as_of.date_naive());
    Ok(sheet::streamed(&name, watched, columns, first.page, next))
}

/// Where a page ends, and the moment that the report is about. As text it is the two with a space between them.
#[derive(Debug, Clone, Copy)]
struct Place {
    as_of: DateTime<Utc>,
    customer: CustomerId,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", text::rfc3339(&self.as_of), self.customer)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (as_of, customer) = text.split_once(' ').ok_or(())?;
        let as_of = DateTime::parse_from_rfc3339(as_of).map_err(|_no_time| ())?;
        Ok(Self {
            as_of: as_of.to_utc(),
            customer: customer.parse().map_err(|_no_id| ())?,
        })
    }
}
