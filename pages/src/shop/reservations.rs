//! The holds of a customer and their places in line: those that are open, and those of before.

use askama::Template;
use chrono::{DateTime, Utc};
use entity::reservations::Status;
use entity::{Money, OrderId, ReservationId};

use crate::Layout;
use crate::words::{self, StatusText};

/// A page of reservations. It asks the server again when the time of an open one ends.
#[derive(Debug, Template)]
#[template(path = "shop/reservations.html")]
pub struct Reservations {
    pub layout: Layout,
    /// Those that are held or wait, the newest first. Only the first page has them.
    pub open: Vec<ReservationRow>,
    /// Those that are resolved, the newest first.
    pub past: Vec<ReservationRow>,
    /// What is wrong with the address's parameters.
    pub fault: Option<String>,
    /// The addresses of the first and the next page.
    pub first: Option<String>,
    pub next: Option<String>,
}

/// One reservation of the list.
#[derive(Debug, Clone)]
pub struct ReservationRow {
    pub id: ReservationId,
    /// The status by the server's clock.
    pub status: Status,
    pub created_at: DateTime<Utc>,
    /// The units and the name of each product. Empty once an order has all of them.
    pub products: Vec<(i64, String)>,
    pub total: Money,
    /// The place in the waitlist, from 1; `None` unless waiting.
    pub place: Option<i64>,
    /// Seconds by the server's clock until the hold, or the wait, ends.
    pub seconds_left: i64,
    /// The order that it became: its id and number.
    pub order: Option<(OrderId, String)>,
}

impl ReservationRow {
    pub(crate) fn status_text(&self) -> StatusText {
        words::reservation_status(self.status)
    }

    /// The products in one line, for the text of a link.
    fn products_text(&self) -> String {
        let products = self.products.iter();
        let products: Vec<String> = products
            .map(|(units, name)| format!("{} × {name}", crate::text::number(*units)))
            .collect();
        match products.is_empty() {
            true => "Reservation".to_owned(),
            false => products.join(", "),
        }
    }
}
