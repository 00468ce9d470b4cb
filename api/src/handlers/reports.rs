//! `/api/reports`: sales, receivables and stock in figures. Aging has a file of its own.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use domain::receivables::aging::{self, Totals};
use domain::reports::sales::{self, Asked, By, Subject};
use domain::reports::stock;
use domain::{Database, Paging};
use entity::users::Role;
use entity::{Currency, CustomerId, ProductId};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use crate::access::Authenticated;
use crate::http::csv::{self, Lines, NotCsv};
use crate::http::listing::{self, Listing};
use crate::schema::content_negotiation::Form;
use crate::schema::csv_dialect::Dialect;
use crate::schema::endpoint::Endpoint;
use crate::schema::query::{Page, Query};
use crate::schema::response::Response;
use crate::schema::text::{self, Amount, FromText, Whole};
use crate::state::State;

const STAFF: &[Role] = &[Role::Admin, Role::Staff];

/// The most days of a sales report: three years.
const MAX_DAYS: i64 = 1096;

/// The days from which the stock report takes its rate.
type RateDays = Whole<1, 366>;

const DEFAULT_RATE_DAYS: u32 = 28;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("getSalesReport", "/api/reports/sales", sales)
            .summary("Read what was sold, cancelled and credited, by day, week, month, product or customer")
            .for_roles(STAFF)
            .query::<NaiveDate>(
                "from",
                "The first day, in the time zone of the business. Without `from` and `to`: the current month up to today.",
            )
            .query::<NaiveDate>("to", "The last day; at most 1096 days in all. Days after today have no rows.")
            .query::<By>("by", "The rows; `day` if left out. Weeks begin on Monday.")
            .paged()
            .ok::<Page<SalesView>>(),
        Endpoint::get("getReceivablesReport", "/api/reports/receivables", receivables)
            .summary("Read what all customers owe now, by days past due")
            .for_roles(STAFF)
            .ok::<ReceivablesView>()
            .or_csv(),
        Endpoint::get("getStockReport", "/api/reports/stock", stock)
            .summary("List for how many days the stock of each active product lasts, the shortest first")
            .for_roles(STAFF)
            .query::<RateDays>(
                "days",
                "The days before today whose sales make the rate; 28 if left out.",
            )
            .paged()
            .ok::<Page<StockReportView>>(),
    ]
}

const BY_WORDS: [(&str, By); 5] = [
    ("day", By::Day),
    ("week", By::Week),
    ("month", By::Month),
    ("product", By::Product),
    ("customer", By::Customer),
];

impl FromText for By {
    fn from_text(text: &str) -> Result<Self, String> {
        let word = BY_WORDS.iter().find(|(word, _)| *word == text);
        word.map(|(_, by)| *by)
            .ok_or_else(|| "must be one of day, week, month, product, customer".to_owned())
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .enum_values(Some(BY_WORDS.map(|(word, _)| word)))
            .into()
    }
}

/// Sales, cancellations and credits: on days, of a product, or to a customer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "starts_on": "2026-01-05", "ends_on": "2026-01-11", "sku": null, "product_name": null, "customer_name": null,
    "orders": 3, "units": 7, "revenue": "700.00", "cancelled_orders": 1, "cancelled_units": 1, "cancelled": "100.00",
    "credited": "50.00", "net": "550.00",
}))]
pub(super) struct SalesView {
    /// The first day of the row; null by product and customer.
    starts_on: Option<NaiveDate>,
    /// The last day of the row; null by product and customer.
    ends_on: Option<NaiveDate>,
    product_id: Option<ProductId>,
    sku: Option<String>,
    product_name: Option<String>,
    customer_id: Option<CustomerId>,
    customer_name: Option<String>,
    /// The orders sold: on credit when they are made, by card when they are paid.
    orders: i64,
    /// The units in them.
    units: i64,
    /// Their totals.
    revenue: Amount,
    /// The orders cancelled after they had been sold.
    cancelled_orders: i64,
    /// The units in them.
    cancelled_units: i64,
    /// Their totals.
    cancelled: Amount,
    /// Credit notes less reversed ones, and refunds by card. Null by product: a credit note may be of an amount.
    credited: Option<Amount>,
    /// The revenue less cancelled and credited amounts. Null by product.
    net: Option<Amount>,
    currency: Currency,
}

/// The debt of all customers now. `due` less the credit on account is the balance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "due": "600.00", "overdue": "200.00", "current": "400.00", "days_1_30": "200.00", "days_31_60": "0.00",
    "days_61_90": "0.00", "days_over_90": "0.00", "credit_on_account": "0.00", "balance": "600.00",
}))]
pub(super) struct ReceivablesView {
    /// The moment of the report.
    #[serde(serialize_with = "text::time")]
    as_of: DateTime<Utc>,
    /// The present day, in the time zone of the business. Days past due are counted on it.
    as_of_date: NaiveDate,
    currency: Currency,
    /// Owed on orders on credit.
    due: Amount,
    /// The part past due.
    overdue: Amount,
    /// Due today or later.
    current: Amount,
    days_1_30: Amount,
    days_31_60: Amount,
    days_61_90: Amount,
    days_over_90: Amount,
    /// Credit that settled no order.
    credit_on_account: Amount,
    balance: Amount,
}

/// The stock of a product, and how long it lasts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "sku": "HEADPHONES", "name": "Headphones", "price": "100.00", "on_hand": 50, "reserved": 0, "available": 50,
    "units_sold": 56, "days_left": 25,
}))]
pub(super) struct StockReportView {
    product_id: ProductId,
    sku: String,
    name: String,
    /// The list price.
    price: Amount,
    currency: Currency,
    on_hand: i64,
    reserved: i64,
    /// The units that a new buyer could buy.
    available: i64,
    /// The units sold on the days before today that make the rate, less cancelled ones.
    units_sold: i64,
    /// The whole days for which the available units last at that rate; null if nothing was sold.
    days_left: Option<i64>,
}

impl SalesView {
    fn of(row: sales::Row, currency: Currency) -> Self {
        let (mut days, mut product, mut customer) = (None, None, None);
        match row.subject {
            Subject::Days(first, last) => days = Some((first, last)),
            Subject::Product(id, sku, name) => product = Some((id, sku, name)),
            Subject::Customer(id, name) => customer = Some((id, name)),
        }
        let figures = row.figures;
        let amount = |money| Amount::of(money, currency);
        let is_product = product.is_some();
        let unless_product = |money| (!is_product).then(|| amount(money));
        let (product_id, sku, product_name) = match product {
            Some((id, sku, name)) => (Some(id), Some(sku), Some(name)),
            None => (None, None, None),
        };
        let (customer_id, customer_name) = customer.unzip();
        Self {
            starts_on: days.map(|(first, _)| first),
            ends_on: days.map(|(_, last)| last),
            product_id,
            sku,
            product_name,
            customer_id,
            customer_name,
            orders: figures.orders,
            units: figures.units,
            revenue: amount(figures.revenue),
            cancelled_orders: figures.cancelled_orders,
            cancelled_units: figures.cancelled_units,
            cancelled: amount(figures.cancelled),
            credited: unless_product(figures.credited),
            net: unless_product(figures.net()),
            currency,
        }
    }
}

impl ReceivablesView {
    fn of(totals: &Totals, currency: Currency) -> Self {
        let (buckets, amount) = (&totals.buckets, |money| Amount::of(money, currency));
        Self {
            as_of: totals.as_of,
            as_of_date: totals.day,
            currency,
            due: amount(buckets.due()),
            overdue: amount(buckets.overdue()),
            current: amount(buckets.current),
            days_1_30: amount(buckets.days_1_30),
            days_31_60: amount(buckets.days_31_60),
            days_61_90: amount(buckets.days_61_90),
            days_over_90: amount(buckets.days_over_90),
            credit_on_account: amount(buckets.credit_on_account),
            balance: amount(buckets.balance()),
        }
    }
}

impl StockReportView {
    fn of(row: stock::Row, currency: Currency) -> Self {
        Self {
            product_id: row.product_id,
            sku: row.sku,
            name: row.name,
            price: Amount::of(row.price, currency),
            currency,
            on_hand: row.on_hand,
            reserved: row.reserved,
            available: row.available,
            units_sold: row.units_sold,
            days_left: row.days_left,
        }
    }
}

async fn sales(lists: Listing, caller: Authenticated, mut query: Query) -> Response {
    let asked = Asked {
        by: query.take("by").unwrap_or(By::Day),
        days: days(&mut query),
    };
    let currency = caller.currency;
    let read = async move |database: &Database, paging: &Paging<sales::Place>| {
        sales::report(database, &caller, asked, paging).await
    };
    let view = move |row| SalesView::of(row, currency);
    lists.answer(query, currency, read, view).await
}

/// The days of a sales report: both or neither.
fn days(query: &mut Query) -> Option<(NaiveDate, NaiveDate)> {
    let has = [query.has("from"), query.has("to")];
    let (from, to) = (
        query.take::<NaiveDate>("from"),
        query.take::<NaiveDate>("to"),
    );
    match has {
        [true, false] => query.fault("to", "is needed with from"),
        [false, true] => query.fault("from", "is needed with to"),
        _ => {}
    }
    let (from, to) = from.zip(to)?;
    if from.year() < 1970 {
        query.fault("from", "must not be before 1970");
    } else if to < from {
        query.fault("to", "must not be before from");
    } else if (to - from).num_days() >= MAX_DAYS {
        query.fault(
            "to",
            format!("must be at most {MAX_DAYS} days from the first"),
        );
    }
    Some((from, to))
}

async fn receivables(
    state: Data<State>,
    caller: Authenticated,
    form: Form,
    mut query: Query,
) -> Response {
    let dialect = Dialect::take(&mut query);
    query.finish()?;
    let totals = aging::totals(&state.database, &caller).await;
    let totals = totals.map_err(|error| caller.problem(error))?;
    let view = ReceivablesView::of(&totals, caller.currency);
    if form == Form::Csv {
        let name = format!("receivables-{}", totals.day);
        return Ok(csv::response(&name, one_line(dialect, &view)));
    }
    Ok(HttpResponse::Ok().insert_header(Form::VARY).json(view))
}

/// A table with one row.
fn one_line<V: Serialize + ToSchema>(
    dialect: Dialect,
    view: &V,
) -> Result<actix_web::web::Bytes, NotCsv> {
    let mut lines = Lines::first(dialect);
    let columns = listing::columns::<V>();
    lines.add(&columns)?;
    lines.add(&listing::cells(&columns, view))?;
    lines.finish()
}

async fn stock(lists: Listing, caller: Authenticated, mut query: Query) -> Response {
    let days = query.take::<RateDays>("days").map(Whole::get);
    let days = days.and_then(|days| days.try_into().ok());
    let days = days.unwrap_or(DEFAULT_RATE_DAYS);
    let currency = caller.currency;
    let read = async move |database: &Database, paging: &Paging<stock::Place>| {
        stock::report(database, &caller, days, paging).await
    };
    let view = move |row| StockReportView::of(row, currency);
    lists.answer(query, currency, read, view).await
}
