//! The checkout: how to pay, where to send, and what the buyer's accounts department needs.

use askama::Template;
use entity::{Address, Money};

use crate::shop::CartLine;
use crate::shop::address::{hidden, parts};
use crate::{Form, Layout};

/// The order before it is placed.
///
/// Field names of its form: `items/N/product_id`, `items/N/quantity`, `items/N/unit_price`, `payment_method` (`credit` or
/// `card`), `reference`, `note`, `delivery` (the number of an address of [`Checkout::addresses`], `other` or `none`),
/// `choices/N/…` with these addresses, so that the order goes where the buyer has read, and `delivery_address/…` for
/// another address.
#[derive(Debug, Template)]
#[template(path = "shop/checkout.html")]
pub struct Checkout {
    pub layout: Layout,
    pub form: Form,
    pub lines: Vec<CartLine>,
    pub total: Money,
    /// What buying on credit means for this customer; `None` where the customer has no credit.
    pub credit: Option<Credit>,
    /// Whether a payment provider is set up.
    pub by_card: bool,
    /// The delivery addresses of the customer.
    pub addresses: Vec<Address>,
}

/// The credit of a customer.
#[derive(Debug, Clone, Copy)]
pub struct Credit {
    pub limit: Money,
    pub balance: Money,
    /// The limit less the balance.
    pub available: Money,
    /// Days from an order to its due date.
    pub terms_days: i32,
}

impl Checkout {
    /// The amount by which the order exceeds the credit; `None` if it fits.
    fn excess(&self) -> Option<Money> {
        let credit = self.credit?;
        (self.total > credit.available).then(|| self.total - credit.available)
    }

    /// The chosen payment: what was sent, otherwise credit if the order fits.
    fn pays_by(&self, method: &str) -> bool {
        match self.form.value("payment_method") {
            "" if self.credit.is_some() && (self.excess().is_none() || !self.by_card) => {
                method == "credit"
            }
            "" => method == "card",
            sent => sent == method,
        }
    }

    /// The hidden fields that repeat the addresses.
    fn choices(&self) -> Vec<(String, String)> {
        hidden("choices", self.addresses.iter().map(parts))
    }

    /// Whether an address is chosen: what was sent, otherwise the first.
    fn delivers_to(&self, choice: &str) -> bool {
        match self.form.value("delivery") {
            "" if self.addresses.is_empty() => choice == "none",
            "" => choice == "0",
            sent => sent == choice,
        }
    }
}
