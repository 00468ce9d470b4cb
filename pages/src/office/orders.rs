//! The orders of a business: the list with its filters, and what became of several that were shipped at once.

use askama::Template;
use chrono::{DateTime, Utc};
use entity::orders::{Attention, PaymentMethod, Status};
use entity::{CustomerId, Money, OrderId};

use super::{Chip, Frame, Ordering};
use crate::shop::Choice;
use crate::words::{self, StatusText};
use crate::{Form, text};

/// A page of orders.
#[derive(Debug, Template)]
#[template(path = "office/orders.html")]
pub struct Orders {
    pub frame: Frame,
    pub orders: Vec<OrderRow>,
    /// The filters as they were sent, and what is wrong with each.
    pub form: Form,
    pub statuses: Vec<Choice>,
    /// The choices of the filters with few values, by their names. The first choice is no filter.
    pub selects: Vec<(&'static str, Vec<Choice>)>,
    /// The filters without a field.
    pub chips: Vec<Chip>,
    /// Whether anything narrows the list.
    pub is_narrowed: bool,
    pub by_date: Ordering,
    pub by_due_date: Ordering,
    /// The addresses of the first and the next page.
    pub first: Option<String>,
    pub next: Option<String>,
    /// The address of all rows as CSV.
    pub csv: String,
    /// The form that ships the ticked orders; `None` for readers who may not.
    pub shipping: Option<Form>,
}

/// One order of the list.
#[derive(Debug, Clone)]
pub struct OrderRow {
    pub id: OrderId,
    pub number: String,
    pub reference: Option<String>,
    pub customer_id: CustomerId,
    pub customer_name: String,
    pub created_at: DateTime<Utc>,
    pub status: Status,
    pub payment_method: PaymentMethod,
    pub total: Money,
    pub due: Money,
    /// The due date of an order on credit with something due.
    pub due_at: Option<DateTime<Utc>>,
    pub is_overdue: bool,
    pub attention: Vec<Attention>,
    /// Whether the reader can ship it now.
    pub can_ship: bool,
}

/// The results of orders that were shipped at once.
#[derive(Debug, Template)]
#[template(path = "office/shipments.html")]
pub struct Shipments {
    pub frame: Frame,
    pub shipments: Vec<Shipment>,
    /// The list from which they were chosen.
    pub back: String,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Shipment {
    pub order: OrderRow,
    /// Why it was not shipped; `None` if it was.
    pub refusal: Option<String>,
}

impl OrderRow {
    pub(crate) fn status_text(&self) -> StatusText {
        words::order_status(self.status)
    }

    pub(crate) fn method_text(&self) -> &'static str {
        words::payment_method(self.payment_method)
    }

    pub(crate) fn attention_text(&self) -> String {
        let reasons = self.attention.iter().copied().map(words::attention);
        reasons.collect::<Vec<_>>().join(", ")
    }
}

impl Orders {
    /// Whether a row has a box to tick.
    fn has_boxes(&self) -> bool {
        self.shipping.is_some() && self.orders.iter().any(|order| order.can_ship)
    }

    /// Whether filters are set that are in the folded part of the form.
    fn has_more_filters(&self) -> bool {
        let texts = ["created_from", "created_to", "total_min", "total_max"];
        let is_chosen = |choices: &[Choice]| choices.iter().skip(1).any(|choice| choice.chosen);
        texts.iter().any(|name| !self.form.value(name).is_empty())
            || self.selects.iter().any(|(_, choices)| is_chosen(choices))
            || !self.form.faults.is_empty()
    }
}

impl Shipments {
    fn shipped(&self) -> usize {
        let shipped = self.shipments.iter();
        shipped.filter(|one| one.refusal.is_none()).count()
    }

    /// `2 of 3 orders are shipped`.
    fn title(&self) -> String {
        let (shipped, all) = (self.shipped(), self.shipments.len());
        match (shipped, all) {
            (1, 1) => "The order is shipped".to_owned(),
            (shipped, all) if shipped == all => format!("All {all} orders are shipped"),
            (shipped, all) => {
                let all = text::count(i64::try_from(all).unwrap_or(i64::MAX), "order", "orders");
                format!("{shipped} of {all} shipped")
            }
        }
    }
}
