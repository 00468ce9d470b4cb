//! The payment by card.

use askama::Template;

use crate::shop::Order;
use crate::{Form, Layout};

/// The page that pays an order.
#[derive(Debug, Template)]
#[template(path = "shop/pay.html")]
pub struct Pay {
    pub layout: Layout,
    pub order: Order,
    pub form: Form,
    pub state: PayState,
    /// Whether an attempt to pay was declined.
    pub declined: bool,
    /// Seconds by the server's clock in which the order can be paid.
    pub seconds_left: i64,
}

/// How an order can be paid, or why it cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayState {
    /// At the test provider, which moves no money: the form posts `outcome` as `succeeded` or `declined`.
    Test,
    /// At Stripe, whose own script draws the fields.
    Stripe {
        publishable_key: String,
        client_secret: String,
        /// The absolute address to which Stripe sends the buyer back.
        return_url: String,
    },
    /// The provider has not made the payment yet. The page loads itself anew, since what follows has another policy.
    Preparing,
    /// The payment was sent, and the provider's word is awaited.
    Waiting,
    /// The payment arrived.
    Paid,
    /// It can no longer be paid.
    Closed,
}

impl Pay {
    /// What a reader of screens is told when the state changes.
    fn news(&self) -> &'static str {
        match self.state {
            PayState::Test | PayState::Stripe { .. } => "The order can be paid.",
            PayState::Preparing => "The payment is being prepared.",
            PayState::Waiting => "Waiting for the bank.",
            PayState::Paid => "The order is paid.",
            PayState::Closed => "The order can no longer be paid.",
        }
    }
}
