//! The stock report: for how many days the stock of each product lasts, at the rate of the past days.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use chrono::Days;
use entity::{Money, ProductId};
use sea_orm::{DbBackend, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::events::{Kind, events, values};
use super::period::{self, Period};
use crate::foundation::clock;
use crate::foundation::retry::retry;
use crate::{Caller, Database, Error, Page, Paging};

/// The stock of a product, and its sales.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Row {
    /// The product.
    pub product_id: ProductId,
    /// Its SKU.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// Its list price.
    pub price: Money,
    /// The units on hand.
    pub on_hand: i64,
    /// The units held.
    pub reserved: i64,
    /// The units that a new buyer could buy.
    pub available: i64,
    /// The units sold on the past days, less cancelled ones; at least 0.
    pub units_sold: i64,
    /// The whole days for which the available units last at that rate; `None` if nothing was sold.
    pub days_left: Option<i64>,
}

/// The end of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    days_left: i64,
    product: ProductId,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.days_left, self.product)
    }
}

/// The text is not a [`Place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the place of a stock report")]
pub struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (days_left, product) = text.split_once(' ').ok_or(NoPlace)?;
        Ok(Self {
            days_left: days_left.parse().map_err(|_no_number| NoPlace)?,
            product: product.parse().map_err(|_no_id| NoPlace)?,
        })
    }
}

/// See [`super::sales`].
const SETTINGS: [&str; 3] = [
    "plan_cache_mode = 'force_custom_plan'",
    "jit = 'off'",
    "max_parallel_workers_per_gather = 0",
];

/// Products without sales come last.
const NEVER: i64 = i64::MAX;

/// Reads a page of the report: the active products that run out first come first. The rate is that of the `days` days
/// before today.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn report(
    database: &Database,
    caller: &Caller,
    days: u32,
    paging: &Paging<Place>,
) -> Result<Page<Row, Place>, Error> {
    let rows = retry(|| async {
        let business = caller.business_id;
        let transaction = database.begin_snapshot(business, &SETTINGS).await?;
        let clock = clock::of(&transaction, business).await?;
        let state = period::state(&transaction, business).await?;
        let today = clock.today();
        let from = today - Days::new(days.into());
        let period = Period::new((from, today), clock.time_zone, state.as_ref());
        let (start, end) = period.live();
        let (spans, starts) = period.kept_spans();
        let mut all: Vec<Value> = vec![business.0.into()];
        all.extend(values(start, end));
        all.extend([spans.into(), starts.into(), i64::from(days).into()]);
        let after = paging.after;
        all.push(after.map_or(-1, |place| place.days_left).into());
        all.push(after.map_or(Uuid::nil(), |place| place.product.0).into());
        let report = match start < end {
            true => &*WITH_LIVE_DAYS,
            false => &*OF_KEPT_DAYS,
        };
        let sql = format!("{report}{}", paging.rows());
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, all);
        let rows = Row::find_by_statement(statement).all(&transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    });
    Ok(Page::of(rows.await?, paging, |row| Place {
        days_left: row.days_left.unwrap_or(NEVER),
        product: row.product_id,
    }))
}

/// Raw: sums over kept figures and events, joined with the stock. `$1` to `$5` are those of [`events`], `$6` and `$7` the
/// spans and first days of kept figures, `$8` the number of days, `$9` and `$10` the place. The number of rows follows the
/// text.
static WITH_LIVE_DAYS: LazyLock<String> = LazyLock::new(|| {
    let live = "
        UNION ALL
        SELECT subject, units, cancelled_units FROM event";
    format!("WITH {}, {}", events(Kind::Product), statement(live))
});

/// The same when the figures of all days are kept, as most of the time: planning the events takes as long as reading.
static OF_KEPT_DAYS: LazyLock<String> = LazyLock::new(|| format!("WITH {}", statement("")));

/// The report after its first common table expressions. `live` adds rows to the kept figures.
fn statement(live: &str) -> String {
    format!(
        "rate AS (
    SELECT subject, greatest(sum(units - cancelled_units), 0)::bigint AS units FROM (
        SELECT f.subject, f.units, f.cancelled_units
          FROM unnest($6::text::text[], $7::text::date[]) AS each (span, starts_on)
          JOIN sales_figures f ON f.business_id = $1 AND f.kind = 'product' AND f.span = each.span
                              AND f.starts_on = each.starts_on{live}
    ) AS part GROUP BY subject
), level AS (
    -- As `entity::inventory::available`.
    SELECT product_id, on_hand, reserved,
           CASE WHEN waiting > 0 THEN 0 ELSE on_hand - reserved END AS available
      FROM inventory WHERE business_id = $1
), listed AS (
    SELECT p.id AS product_id, p.sku, p.name, p.price, level.on_hand, level.reserved, level.available,
           coalesce(rate.units, 0) AS units_sold,
           CASE WHEN rate.units > 0 THEN greatest(level.available, 0) * $8::bigint / rate.units END AS days_left
      FROM products p
      JOIN level ON level.product_id = p.id
      LEFT JOIN rate ON rate.subject = p.id
     WHERE p.business_id = $1 AND p.active
)
SELECT * FROM listed
 WHERE (coalesce(days_left, {NEVER}), product_id) > ($9::bigint, $10::uuid)
 ORDER BY coalesce(days_left, {NEVER}), product_id LIMIT "
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_the_round_trip() {
        let place = Place {
            days_left: NEVER,
            product: ProductId(Uuid::now_v7()),
        };
        assert_eq!(place.to_string().parse(), Ok(place));
        for bad in ["", "1", "x y", "1 y"] {
            assert_eq!(bad.parse::<Place>(), Err(NoPlace), "{bad}");
        }
    }
}
