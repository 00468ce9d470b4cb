//! The terms by which orders are found: their references. An order without one has none and costs nothing.

use entity::search_terms::Kind;
use entity::{BusinessId, OrderId, orders};

use crate::foundation::search;
use crate::{Error, Transaction};

/// Inserts the terms of new orders with these references. Costs one statement if there is any reference.
pub(crate) async fn insert_terms<'a>(
    transaction: &Transaction,
    business: BusinessId,
    references: impl Iterator<Item = (OrderId, Option<&'a str>)>,
) -> Result<(), Error> {
    let terms = references.flat_map(|(id, reference)| search::order(id, [reference, None]));
    search::insert(transaction, business, terms).await
}

/// Replaces the terms of a locked order. Called where a reference changes.
pub(crate) async fn replace_terms(
    transaction: &Transaction,
    order: &orders::Model,
) -> Result<(), Error> {
    let references = [&order.reference, &order.tracking_reference].map(Option::as_deref);
    let terms = search::order(order.id, references);
    let row = (&[Kind::Order][..], order.id.0);
    search::replace(transaction, order.business_id, row, terms).await
}
