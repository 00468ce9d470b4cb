//! One order: what was sold, what became of it, and what can be done.

use askama::Template;
use chrono::{DateTime, Utc};
use entity::orders::{Attention, Status};
use entity::{CustomerId, Money};

use super::Frame;
use crate::Form;
use crate::shop::Order;
use crate::words::{self, StatusText};

/// The page of an order.
#[derive(Debug, Template)]
#[template(path = "office/order.html")]
pub struct OrderPage {
    pub frame: Frame,
    pub order: Order,
    pub customer_id: CustomerId,
    pub attention: Vec<Attention>,
    /// What happened, the oldest first.
    pub events: Vec<Event>,
    /// Tables about money: their titles and entries. Empty ones are not shown.
    pub tables: Vec<(&'static str, Vec<Entry>)>,
    pub actions: Actions,
}

/// Something that happened to an order.
#[derive(Debug, Clone)]
pub struct Event {
    pub at: DateTime<Utc>,
    /// The status that the order got.
    pub status: Status,
    /// The role that made the step, or `system`; `None` where it is not known.
    pub role: Option<String>,
}

/// A payment, refund, dispute, credit note or write-off.
#[derive(Debug, Clone)]
pub struct Entry {
    pub at: Option<DateTime<Utc>>,
    /// What it is: `Bank transfer`, `Credit note`.
    pub text: String,
    /// Its reason, the provider's message and so on; empty without any.
    pub detail: String,
    pub amount: Money,
    /// How far it is: `succeeded`, `reversed`; empty where nothing is to be said.
    pub state: String,
}

/// What the reader may do; `None` for what their role may not, or what such an order never has.
#[derive(Debug, Clone)]
pub struct Actions {
    pub ship: Option<Action>,
    pub cancel: Option<Action>,
    pub refund: Option<Action>,
    pub credit: Option<Action>,
    pub write_off: Option<Action>,
    /// Whether the payment is disputed, which shipping must acknowledge.
    pub is_disputed: bool,
    /// The refundable amount of the card payment.
    pub refundable: Money,
    /// The creditable amount.
    pub creditable: Money,
}

/// A form that does something to the order.
#[derive(Debug, Clone)]
pub struct Action {
    pub form: Form,
    /// Why it is not possible now; `None` if it is.
    pub obstacle: Option<String>,
}

/// The confirmation of an order, or the list of goods that goes into the parcel, to be printed.
#[derive(Debug, Template)]
#[template(path = "office/paper.html")]
pub struct OrderPaper {
    pub frame: Frame,
    pub order: Order,
    /// Whether it is the packing slip, which has no prices.
    pub is_slip: bool,
}

impl OrderPaper {
    fn title(&self) -> &'static str {
        match self.is_slip {
            true => "Packing slip",
            false => "Order confirmation",
        }
    }
}

impl Event {
    fn status_text(&self) -> StatusText {
        words::order_status(self.status)
    }

    fn who(&self) -> &'static str {
        match self.role.as_deref() {
            Some("admin") => "by an admin",
            Some("staff") => "by staff",
            Some("customer") => "by the customer",
            Some(_) => "by the service",
            None => "",
        }
    }
}

impl Action {
    /// Whether its form is open: it was refused.
    fn is_open(&self) -> bool {
        self.form.is_refused()
    }
}

impl Actions {
    fn all(&self) -> impl Iterator<Item = &Action> {
        let all = [
            &self.ship,
            &self.cancel,
            &self.refund,
            &self.credit,
            &self.write_off,
        ];
        all.into_iter().flatten()
    }
}

impl OrderPage {
    /// Why it needs attention.
    fn reasons(&self) -> Vec<&'static str> {
        let reasons = self.attention.iter().copied();
        reasons.map(words::attention).collect()
    }

    /// The form that was refused.
    fn refused(&self) -> Option<&Form> {
        let mut forms = self.actions.all().map(|action| &action.form);
        forms.find(|form| form.is_refused())
    }
}
