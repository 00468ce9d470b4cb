//! Pieces of pages that templates print as they are, because templates of their own escape what is in them.

use std::borrow::Borrow;

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use entity::{ProductId, TimeZone};

use crate::text;

/// An icon by its name at Lucide. It says nothing that the text beside it does not say.
#[derive(Debug, Template)]
#[template(path = "parts/icon.html")]
pub(crate) struct Icon {
    name: &'static str,
}

impl HtmlSafe for Icon {}

pub(crate) fn icon(name: impl Borrow<&'static str>) -> Icon {
    Icon {
        name: name.borrow(),
    }
}

/// A time: the exact value for programs, a text for people.
#[derive(Debug, Template)]
#[template(
    source = r#"<time datetime="{{ exact }}"{% if let Some(zone) = zone %} title="{{ text }} ({{ zone }})"{% endif %}>{{ text }}</time>"#,
    ext = "html"
)]
pub(crate) struct Moment {
    exact: String,
    text: String,
    zone: Option<String>,
}

impl HtmlSafe for Moment {}

impl Moment {
    pub(crate) fn instant(at: DateTime<Utc>, zone: TimeZone) -> Self {
        Self {
            exact: at.to_rfc3339_opts(SecondsFormat::Secs, true),
            text: text::instant(at, zone),
            zone: Some(zone.to_string()),
        }
    }

    pub(crate) fn day(day: NaiveDate) -> Self {
        Self {
            exact: day.to_string(),
            text: text::day(day),
            zone: None,
        }
    }
}

/// A time that runs down by the seconds that the server counted. The page's script moves it; at 0 it follows the link
/// beside it, which asks the server.
#[derive(Debug, Template)]
#[template(
    source = r#"<span class="countdown" role="timer" aria-live="off" data-seconds="{{ seconds }}">{{ crate::text::duration(seconds) }}</span>"#,
    ext = "html"
)]
pub(crate) struct Countdown {
    seconds: i64,
}

impl HtmlSafe for Countdown {}

pub(crate) fn countdown(seconds: impl text::Count) -> Countdown {
    Countdown {
        seconds: seconds.count().max(0),
    }
}

/// The buyer's view of a product's stock. An event of the stream of stock has it as data and the product's id
/// as its name.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "parts/stock.html")]
pub struct StockText {
    /// Units that a new buyer could get now.
    pub available: i64,
    /// Reservations in the waitlist.
    pub waiting: i64,
}

impl HtmlSafe for StockText {}

/// The highest number of units that is called low.
const LOW: i64 = 5;

impl StockText {
    fn is_low(&self) -> bool {
        self.available <= LOW
    }
}

/// The stock of a product, replaced by events of the page's stream.
#[derive(Debug, Template)]
#[template(
    source = r#"<span class="stock" sse-swap="{{ product_id }}">{{ text }}</span>"#,
    ext = "html"
)]
pub(crate) struct LiveStock {
    product_id: ProductId,
    text: StockText,
}

impl HtmlSafe for LiveStock {}

impl LiveStock {
    pub(crate) fn new(product_id: ProductId, available: i64, waiting: i64) -> Self {
        Self {
            product_id,
            text: StockText { available, waiting },
        }
    }
}
