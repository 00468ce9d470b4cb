//! The first page of the back office. Its figures are kept ones, or reads along an index.

use chrono::{Days, Utc};
use domain::Paging;
use domain::orders::{self, Filter, Sort, Wanting};
use domain::receivables::aging;
use domain::reports::sales::{self, Asked, By, Subject};
use domain::reports::stock;
use entity::orders::Status;
use pages::office::{Dashboard, Day, OrderRow, RunningOut};

use super::STAFF;
use super::order_row::row_of;
use crate::pages::here::Here;
use crate::schema::endpoint::Endpoint;
use crate::schema::problem::Problem;
use crate::schema::response::Response;

/// The days of the figures of sales, today included.
const DAYS: u64 = 30;

/// The days before today that make the rate of the stock report.
const RATE_DAYS: u32 = 28;

/// A product runs out when its stock lasts for fewer days.
const FEW_DAYS: i64 = 14;

/// The rows of each short list.
const ROWS: u64 = 5;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::page("showDashboard", "/office/{business}", show).for_roles(STAFF)]
}

async fn show(here: Here) -> Response {
    let (database, caller) = (&here.state.database, here.caller()?);
    let problem = |error| here.problem(error);
    let frame = here.frame().await?;
    let totals = aging::totals(database, caller).await.map_err(problem)?;
    let buckets = totals.buckets;
    let stock = stock::report(database, caller, RATE_DAYS, &first(ROWS)).await;
    let running_out = stock.map_err(problem)?.rows.into_iter().filter_map(shown);
    here.page(&Dashboard {
        days: days(&here).await?,
        due: buckets.due(),
        overdue: buckets.overdue(),
        ages: vec![
            ("Not yet due", buckets.current),
            ("1 to 30 days past due", buckets.days_1_30),
            ("31 to 60 days", buckets.days_31_60),
            ("61 to 90 days", buckets.days_61_90),
            ("More than 90 days", buckets.days_over_90),
            ("Credit on account", buckets.credit_on_account),
        ],
        running_out: running_out.collect(),
        attention: some(
            &here,
            Filter {
                attention: Some(Wanting::Any),
                ..Filter::default()
            },
        )
        .await?,
        to_ship: some(
            &here,
            Filter {
                status: vec![Status::Approved, Status::Paid],
                sort: Sort::Oldest,
                ..Filter::default()
            },
        )
        .await?,
        frame,
    })
}

/// The first page of this many rows.
fn first<K>(limit: u64) -> Paging<K> {
    Paging { limit, after: None }
}

/// The sales of the last days of the business.
async fn days(here: &Here) -> Result<Vec<Day>, Problem> {
    let (database, caller) = (&here.state.database, here.caller()?);
    let today = here.business().await?.time_zone.day_of(Utc::now());
    let asked = Asked {
        by: By::Day,
        days: Some((today - Days::new(DAYS - 1), today)),
    };
    let report = sales::report(database, caller, asked, &first(DAYS)).await;
    let report = report.map_err(|error| here.problem(error))?;
    let days = report.rows.into_iter().filter_map(|row| match row.subject {
        Subject::Days(day, _) => Some(Day {
            day,
            orders: row.figures.orders,
            net: row.figures.net(),
        }),
        Subject::Product(..) | Subject::Customer(..) => None,
    });
    Ok(days.collect())
}

/// A product whose stock lasts for a few days only.
fn shown(row: stock::Row) -> Option<RunningOut> {
    let days_left = row.days_left.filter(|days| *days < FEW_DAYS)?;
    Some(RunningOut {
        product_id: row.product_id,
        sku: row.sku,
        name: row.name,
        available: row.available,
        days_left,
    })
}

/// The first orders of a list.
async fn some(here: &Here, filter: Filter) -> Result<Vec<OrderRow>, Problem> {
    let (database, caller) = (&here.state.database, here.caller()?);
    let found = orders::list(database, caller, &filter, &first(ROWS)).await;
    let found = found.map_err(|error| here.problem(error))?;
    let (role, now) = (caller.authority.role(), Utc::now());
    let rows = found.rows.into_iter();
    Ok(rows.map(|listed| row_of(listed, role, now)).collect())
}
