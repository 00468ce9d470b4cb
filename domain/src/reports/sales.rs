//! The sales report: what was sold, cancelled and credited, by day, week, month, product or customer.
//!
//! [`super::events`] defines what counts, and on which day. A report costs four statements. A page by product or customer
//! reads at most its own rows of each kept day or month, so its cost depends on the number of months, not of sales.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, Days, Months, NaiveDate};
use entity::{CustomerId, Money, ProductId};
use sea_orm::{DbBackend, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::events::{COLUMNS, Kind, SUMS, arrays, events, refunds, values};
use super::period::{self, Period};
use crate::foundation::clock;
use crate::foundation::retry::retry;
use crate::{Caller, Database, Error, Page, Paging, Transaction};

/// The rows of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Each day.
    Day,
    /// Each week, from Monday to Sunday (ISO 8601).
    Week,
    /// Each calendar month.
    Month,
    /// Each product.
    Product,
    /// Each customer.
    Customer,
}

/// The requested report.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The rows.
    pub by: By,
    /// The first and the last day; the current month up to today if left out. Days after today have no rows.
    pub days: Option<(NaiveDate, NaiveDate)>,
}

/// Sales, cancellations and credits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct Figures {
    /// The orders sold. An order on credit is sold when it is made, one by card when it is paid.
    pub orders: i64,
    /// The units in them.
    pub units: i64,
    /// Their totals, at the prices of the sale.
    pub revenue: Money,
    /// The orders cancelled after they had been sold, on this day or before.
    pub cancelled_orders: i64,
    /// The units in them.
    pub cancelled_units: i64,
    /// Their totals.
    pub cancelled: Money,
    /// Credit notes less reversed ones, and refunds by card, of orders that are not cancelled.
    pub credited: Money,
}

impl Figures {
    /// The revenue less cancelled and credited amounts.
    #[must_use]
    pub fn net(&self) -> Money {
        self.revenue - self.cancelled - self.credited
    }

    fn add(&mut self, other: &Self) {
        self.orders += other.orders;
        self.units += other.units;
        self.revenue = self.revenue + other.revenue;
        self.cancelled_orders += other.cancelled_orders;
        self.cancelled_units += other.cancelled_units;
        self.cancelled = self.cancelled + other.cancelled;
        self.credited = self.credited + other.credited;
    }
}

/// The subject of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Days of the business, first and last. A week or month at the edge of the report has only the days in the report.
    Days(NaiveDate, NaiveDate),
    /// A product, with its present SKU and name.
    Product(ProductId, String, String),
    /// A customer, with their present name.
    Customer(CustomerId, String),
}

/// A row of the report.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its subject.
    pub subject: Subject,
    /// Its figures. By product nothing is credited, since a credit note or refund may be of an amount.
    pub figures: Figures,
}

/// The end of a page: its last row's first day or id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// By day, week and month.
    Day(NaiveDate),
    /// By product and customer.
    Id(Uuid),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

/// The text is not a [`Place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the place of a sales report")]
pub struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let day = text.parse().map(Self::Day);
        day.or_else(|_no_day| text.parse().map(Self::Id))
            .map_err(|_no_id| NoPlace)
    }
}

/// A report reads kept rows and a short range of orders, for which a generic plan is no good.
const SETTINGS: [&str; 3] = [
    "plan_cache_mode = 'force_custom_plan'",
    "jit = 'off'",
    "max_parallel_workers_per_gather = 0",
];

/// Reads a page of the report: days in order, products and customers by id.
///
/// # Errors
/// [`Error::ForeignCursor`]; [`Error::DatabaseUnavailable`].
pub async fn report(
    database: &Database,
    caller: &Caller,
    asked: Asked,
    paging: &Paging<Place>,
) -> Result<Page<Row, Place>, Error> {
    retry(|| async {
        let business = caller.business_id;
        let transaction = database.begin_snapshot(business, &SETTINGS).await?;
        let clock = clock::of(&transaction, business).await?;
        let state = period::state(&transaction, business).await?;
        let today = clock.today();
        let first = today.with_day(1).unwrap_or(today);
        let (from, last) = asked.days.unwrap_or((first, today));
        let until = last.min(today) + Days::new(1);
        let period = |days| Period::new(days, clock.time_zone, state.as_ref());
        let report = Report {
            transaction,
            caller,
        };
        let page = match (asked.by, paging.after) {
            (By::Product | By::Customer, Some(Place::Day(_)))
            | (By::Day | By::Week | By::Month, Some(Place::Id(_))) => {
                return Err(Error::ForeignCursor);
            }
            (By::Product, after) => {
                let period = period((from, until));
                report
                    .by_id(Kind::Product, &period, paging, id(after))
                    .await?
            }
            (By::Customer, after) => {
                let period = period((from, until));
                report
                    .by_id(Kind::Customer, &period, paging, id(after))
                    .await?
            }
            (by, after) => {
                let after = match after {
                    Some(Place::Day(day)) => Some(day),
                    _ => None,
                };
                let spans = spans(by, (from, until), after, paging);
                let (Some(first), Some(last)) = (spans.first(), spans.last()) else {
                    return Ok(Page {
                        rows: Vec::new(),
                        next: None,
                    });
                };
                let period = period((first.0, last.1 + Days::new(1)));
                report.by_days(&period, spans, paging).await?
            }
        };
        report.transaction.commit().await?;
        Ok(page)
    })
    .await
}

fn id(after: Option<Place>) -> Uuid {
    match after {
        Some(Place::Id(id)) => id,
        _ => Uuid::nil(),
    }
}

/// The days, weeks or months of a page and one more: the first and the last day of each, within the report.
fn spans(
    by: By,
    (from, until): (NaiveDate, NaiveDate),
    after: Option<NaiveDate>,
    paging: &Paging<Place>,
) -> Vec<(NaiveDate, NaiveDate)> {
    let next = |day: NaiveDate| match by {
        By::Week => day + Days::new(7 - u64::from(day.weekday().num_days_from_monday())),
        By::Month => day.with_day(1).unwrap_or(day) + Months::new(1),
        _ => day + Days::new(1),
    };
    let first = after.map_or(from, next).max(from);
    let starts = std::iter::successors(Some(first), |day| Some(next(*day)));
    let rows = usize::try_from(paging.rows()).unwrap_or(usize::MAX);
    starts
        .take_while(|day| *day < until)
        .take(rows)
        .map(|day| (day, next(day).min(until) - Days::new(1)))
        .collect()
}

/// A report that is being read.
struct Report<'a> {
    transaction: Transaction,
    caller: &'a Caller,
}

/// The figures of a day.
#[derive(Debug, FromQueryResult)]
struct OfDay {
    day: NaiveDate,
    #[sea_orm(nested)]
    figures: Figures,
}

/// The figures of a product or customer.
#[derive(Debug, FromQueryResult)]
struct OfSubject {
    subject: Uuid,
    sku: Option<String>,
    name: String,
    #[sea_orm(nested)]
    figures: Figures,
}

impl Report<'_> {
    /// The parameters `$1` to `$9`.
    fn values(&self, period: &Period) -> Vec<Value> {
        let (live, whole) = (period.live(), period.span());
        let mut all: Vec<Value> = vec![self.caller.business_id.0.into()];
        all.extend(values(live.0, live.1));
        all.extend(arrays(whole.0, whole.1));
        all
    }

    async fn by_days(
        &self,
        period: &Period,
        spans: Vec<(NaiveDate, NaiveDate)>,
        paging: &Paging<Place>,
    ) -> Result<Page<Row, Place>, Error> {
        let mut values = self.values(period);
        values.push(period.from.into());
        values.push(period.kept_before().into());
        values.push(period.bounds().into());
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, by_days(), values);
        let days = OfDay::find_by_statement(statement)
            .all(&self.transaction)
            .await?;
        let days: BTreeMap<NaiveDate, Figures> =
            days.into_iter().map(|of| (of.day, of.figures)).collect();
        let rows = spans.into_iter().map(|(first, last)| {
            let mut figures = Figures::default();
            for (_, day) in days.range(first..=last) {
                figures.add(day);
            }
            Row {
                subject: Subject::Days(first, last),
                figures,
            }
        });
        Ok(Page::of(rows.collect(), paging, place))
    }

    async fn by_id(
        &self,
        kind: Kind,
        period: &Period,
        paging: &Paging<Place>,
        after: Uuid,
    ) -> Result<Page<Row, Place>, Error> {
        let (spans, starts) = period.kept_spans();
        let mut values = self.values(period);
        values.push(spans.into());
        values.push(starts.into());
        values.push(after.into());
        let sql = by_id(kind, paging.rows());
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        let rows = OfSubject::find_by_statement(statement)
            .all(&self.transaction)
            .await?;
        let rows = rows.into_iter().map(|of| Row {
            subject: match of.sku {
                Some(sku) => Subject::Product(ProductId(of.subject), sku, of.name),
                None => Subject::Customer(CustomerId(of.subject), of.name),
            },
            figures: of.figures,
        });
        Ok(Page::of(rows.collect(), paging, place))
    }
}

fn place(row: &Row) -> Place {
    match &row.subject {
        Subject::Days(first, _) => Place::Day(*first),
        Subject::Product(id, ..) => Place::Id(id.0),
        Subject::Customer(id, _) => Place::Id(id.0),
    }
}

/// Raw: a union of kept figures, of events and of refunds. `$8` is the first day, `$9` the day after the last that
/// is kept, and `$10` are the bounds of the days.
fn by_days() -> String {
    let (events, refunds) = (events(Kind::Total), refunds(Kind::Total));
    format!(
        "
WITH {events}, {refunds}
SELECT day, {SUMS} FROM (
    SELECT starts_on AS day, {COLUMNS} FROM sales_figures
     WHERE business_id = $1 AND kind = 'total' AND span = 'day' AND starts_on >= $8 AND starts_on < $9
    UNION ALL
    SELECT $8::date + width_bucket(at, (SELECT $10::text::timestamptz[])) - 1, {COLUMNS} FROM event
    UNION ALL
    SELECT $8::date + width_bucket(at, (SELECT $10::text::timestamptz[])) - 1, 0, 0, 0, 0, 0, 0, credited FROM refund
) AS part GROUP BY day"
    )
}

/// Raw: as [`by_days`], with a lateral walk of each kept day or month. `$8` and `$9` are their spans and first days, `$10`
/// the last id of the page before. The first rows of each walk are enough: a row of the page is among the first of each
/// span that has it.
fn by_id(kind: Kind, rows: u64) -> String {
    let (events, refunds, of) = (events(kind), refunds(kind), kind.value());
    let (table, sku) = match kind {
        Kind::Product => ("products", "name.sku"),
        Kind::Customer | Kind::Total => ("customers", "NULL::text"),
    };
    format!(
        "
WITH {events}, {refunds}, page AS (
    SELECT subject, {SUMS} FROM (
        SELECT kept.* FROM unnest($8::text::text[], $9::text::date[]) AS each (span, starts_on),
               LATERAL (SELECT subject, {COLUMNS} FROM sales_figures
                         WHERE business_id = $1 AND kind = '{of}' AND span = each.span
                           AND starts_on = each.starts_on AND subject > $10
                         ORDER BY subject LIMIT {rows}) AS kept
        UNION ALL
        SELECT subject, {COLUMNS} FROM event WHERE subject > $10
        UNION ALL
        SELECT subject, 0, 0, 0, 0, 0, 0, credited FROM refund WHERE subject > $10
    ) AS part GROUP BY subject ORDER BY subject LIMIT {rows}
)
SELECT page.*, {sku} AS sku, name.name
  FROM page JOIN {table} AS name ON name.business_id = $1 AND name.id = page.subject
 ORDER BY page.subject"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn written(by: By, from: &str, until: &str, after: Option<&str>, limit: u64) -> String {
        let paging = Paging { limit, after: None };
        let spans = spans(by, (day(from), day(until)), after.map(day), &paging);
        let spans = spans.iter().map(|(first, last)| format!("{first}..{last}"));
        spans.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn weeks_begin_on_monday_and_end_with_the_report() {
        // 2026-01-01 is a Thursday.
        assert_eq!(
            written(By::Week, "2026-01-01", "2026-01-14", None, 9),
            "2026-01-01..2026-01-04 2026-01-05..2026-01-11 2026-01-12..2026-01-13"
        );
        assert_eq!(
            written(By::Week, "2026-01-01", "2026-01-14", Some("2026-01-05"), 9),
            "2026-01-12..2026-01-13"
        );
    }

    #[test]
    fn months_and_days_are_those_of_the_calendar() {
        assert_eq!(
            written(By::Month, "2026-01-31", "2026-03-02", None, 9),
            "2026-01-31..2026-01-31 2026-02-01..2026-02-28 2026-03-01..2026-03-01"
        );
        assert_eq!(
            written(By::Day, "2026-02-28", "2026-03-09", None, 1),
            "2026-02-28..2026-02-28 2026-03-01..2026-03-01"
        );
        assert_eq!(written(By::Day, "2026-03-02", "2026-03-02", None, 9), "");
    }

    #[test]
    fn a_place_survives_the_round_trip() {
        for place in [Place::Day(day("2026-03-01")), Place::Id(Uuid::now_v7())] {
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        assert_eq!("x".parse::<Place>(), Err(NoPlace));
    }
}
