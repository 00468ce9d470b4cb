//! One order: what was bought, where it stands, and what can be done.

use askama::Template;
use chrono::{DateTime, Utc};
use entity::orders::{CancelReason, PaymentMethod, Status};
use entity::{Address, Money, OrderId, ProductId};

use crate::shop::Picture;
use crate::shop::picture::{Image, Spot};
use crate::words::{self, StatusText};
use crate::{Form, Layout, assets};

/// An order, for its page and its papers.
#[derive(Debug, Clone)]
pub struct Order {
    pub id: OrderId,
    pub number: String,
    pub status: Status,
    pub payment_method: PaymentMethod,
    pub customer_name: String,
    pub created_at: DateTime<Utc>,
    /// When it is due. For an order by card, the end of the time in which it can be paid.
    pub due_at: DateTime<Utc>,
    pub lines: Vec<OrderLine>,
    pub total: Money,
    pub paid: Money,
    pub credited: Money,
    pub refunded: Money,
    pub due: Money,
    pub is_overdue: bool,
    pub cancel_reason: Option<CancelReason>,
    pub tracking_reference: Option<String>,
    pub reference: Option<String>,
    pub note: Option<String>,
    pub delivery_address: Option<Address>,
}

/// One product of an order, as it was sold.
#[derive(Debug, Clone)]
pub struct OrderLine {
    pub product_id: ProductId,
    pub sku: String,
    pub name: String,
    pub quantity: i64,
    pub unit_price: Money,
    pub line_total: Money,
    /// The picture that the product has now, for the page of the order.
    pub picture: Option<Picture>,
}

/// Something that happened to an order.
#[derive(Debug, Clone)]
pub struct Step {
    pub at: DateTime<Utc>,
    /// The status that the order got; `None` for a payment, a refund or a credit.
    pub status: Option<Status>,
    /// What happened, where the status does not say it: `Payment of $50.00 received`.
    pub text: String,
}

/// The page of an order.
#[derive(Debug, Template)]
#[template(path = "shop/order.html")]
pub struct OrderPage {
    pub layout: Layout,
    pub order: Order,
    /// What happened, the oldest first.
    pub steps: Vec<Step>,
    /// The form that cancels the order.
    pub form: Form,
    pub can_cancel: bool,
    /// Whether the order waits for a card payment that can still be made.
    pub can_pay: bool,
    /// Seconds by the server's clock in which it can be paid.
    pub seconds_to_pay: i64,
    /// Whether the page has been opened right after the order was placed.
    pub just_placed: bool,
}

/// The confirmation of an order, or its receipt, to be printed.
#[derive(Debug, Template)]
#[template(path = "shop/paper.html")]
pub struct Paper {
    pub layout: Layout,
    pub order: Order,
    pub kind: PaperKind,
    /// The lines of the seller's address; empty where none is known.
    pub seller: Vec<String>,
    /// The day and the amount of each payment.
    pub payments: Vec<(DateTime<Utc>, Money)>,
}

/// The kind of a paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaperKind {
    Confirmation,
    Receipt,
}

impl Order {
    pub(crate) fn status_text(&self) -> StatusText {
        words::order_status(self.status)
    }

    pub(crate) fn method_text(&self) -> &'static str {
        words::payment_method(self.payment_method)
    }

    pub(crate) fn is_by_card(&self) -> bool {
        self.payment_method == PaymentMethod::Card
    }

    pub(crate) fn cancel_text(&self) -> Option<&'static str> {
        self.cancel_reason.map(words::cancel_reason)
    }

    /// Whether something was paid.
    pub(crate) fn has_payment(&self) -> bool {
        self.paid > Money::ZERO
    }
}

impl OrderLine {
    /// The image for the row of an order; `None` instead of a neutral one.
    pub(crate) fn image(&self) -> Option<Image> {
        let has_one = self.picture.is_some() || assets::has_drawing(&self.sku);
        has_one.then(|| Image::of(self.picture.as_ref(), (&self.name, &self.sku), Spot::Row))
    }
}

impl Step {
    pub(crate) fn icon(&self) -> &'static str {
        match self.status {
            Some(status) => words::order_status(status).icon,
            None => "receipt-text",
        }
    }

    /// The text, or the words for the status.
    pub(crate) fn words(&self) -> &str {
        match self.status {
            Some(status) if self.text.is_empty() => words::order_status(status).text,
            _ => &self.text,
        }
    }
}

impl Paper {
    fn title(&self) -> &'static str {
        match self.kind {
            PaperKind::Confirmation => "Order confirmation",
            PaperKind::Receipt => "Receipt",
        }
    }
}

/// The parts of an address, one a line, in the order in which they are printed.
pub(crate) fn address_lines(address: &Address) -> Vec<String> {
    let place = [address.postal_code.as_deref(), address.city.as_deref()];
    let place: Vec<&str> = place.into_iter().flatten().collect();
    let lines = [
        address.name.clone(),
        Some(address.line1.clone()),
        address.line2.clone(),
        Some(place.join(" ")),
        address.region.clone(),
        Some(address.country.clone()),
    ];
    let lines = lines.into_iter().flatten();
    lines.filter(|line| !line.is_empty()).collect()
}
