//! The account: what is owed, the addresses, the password and the logins; and the statement.

use askama::Template;
use chrono::{DateTime, NaiveDate, Utc};
use entity::{CustomerAddress, CustomerAddresses, Money, OrderId};

use crate::shop::Credit;
use crate::{Form, Layout, words};

/// The page of the account.
#[derive(Debug, Template)]
#[template(path = "shop/account.html")]
pub struct Account {
    pub layout: Layout,
    pub customer_name: String,
    pub email: String,
    /// `None` for a user who is not a customer.
    pub figures: Option<Figures>,
    pub addresses: Vec<CustomerAddress>,
    /// The form that changes the password: `old` and `new`.
    pub password: Form,
    /// The logins, this one first.
    pub sessions: Vec<Session>,
}

/// The debt of a customer and the credit that is left.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    pub credit: Credit,
    /// The unpaid amount of all orders.
    pub due: Money,
    /// The part of it whose due date has passed.
    pub overdue: Money,
    /// Credit that has settled no order yet.
    pub on_account: Money,
}

/// A login of the user.
#[derive(Debug, Clone)]
pub struct Session {
    /// The id by which it is ended.
    pub id: String,
    /// The `User-Agent` of the browser; empty if it sent none.
    pub device: String,
    pub created_at: DateTime<Utc>,
    pub used_at: DateTime<Utc>,
    /// Whether it is the login of this request.
    pub is_this: bool,
}

/// The statement of an account for a period.
#[derive(Debug, Template)]
#[template(path = "shop/statement.html")]
pub struct Statement {
    pub layout: Layout,
    pub customer_name: String,
    /// The form with the fields `from` and `to`, as days.
    pub form: Form,
    pub from: NaiveDate,
    pub to: NaiveDate,
    pub opening_balance: Money,
    pub entries: Vec<Entry>,
    pub closing_balance: Money,
    /// The address of the same statement as CSV.
    pub csv: Option<String>,
}

/// An entry of a statement.
#[derive(Debug, Clone)]
pub struct Entry {
    pub at: DateTime<Utc>,
    /// What it is: `Order`, `Payment`, `Credit note`.
    pub text: String,
    /// The order's number, or the reference of a payment; empty without one.
    pub reference: String,
    /// The order that it leads to.
    pub order_id: Option<OrderId>,
    /// The change of the balance.
    pub amount: Money,
    pub balance_after: Money,
}

impl Account {
    /// Whether the customer can have one more address.
    fn has_room(&self) -> bool {
        self.addresses.len() < CustomerAddresses::MAX
    }
}

impl Session {
    /// The browser and the system, in words.
    fn device_text(&self) -> String {
        let device = words::device(&self.device);
        if device.is_empty() {
            "Unknown browser".to_owned()
        } else {
            device
        }
    }
}
