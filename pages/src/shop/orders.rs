//! The orders of a customer.

use askama::Template;
use chrono::{DateTime, Utc};
use entity::orders::Status;
use entity::{Money, OrderId};

use crate::Layout;
use crate::shop::Choice;
use crate::words::{self, StatusText};

/// A page of orders, the newest first.
#[derive(Debug, Template)]
#[template(path = "shop/orders.html")]
pub struct Orders {
    pub layout: Layout,
    pub orders: Vec<OrderRow>,
    /// The search text; empty without one.
    pub q: String,
    /// Parameters that are on or off, such as `unpaid=true`.
    pub filters: Vec<Choice>,
    /// What is wrong with the address's parameters.
    pub fault: Option<String>,
    /// The addresses of the first and the next page.
    pub first: Option<String>,
    pub next: Option<String>,
}

/// One order of the list.
#[derive(Debug, Clone)]
pub struct OrderRow {
    pub id: OrderId,
    pub number: String,
    pub reference: Option<String>,
    pub created_at: DateTime<Utc>,
    pub status: Status,
    pub total: Money,
    pub due: Money,
    /// Whether something is due and the due date has passed.
    pub is_overdue: bool,
}

impl Orders {
    fn is_narrowed(&self) -> bool {
        !self.q.is_empty() || self.filters.iter().any(|filter| filter.chosen)
    }
}

impl OrderRow {
    fn status_text(&self) -> StatusText {
        words::order_status(self.status)
    }
}
