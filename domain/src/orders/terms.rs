//! The terms by which an order is found: its references. An order without one has none and costs nothing.

use entity::orders;
use entity::search_terms::Kind;

use crate::foundation::search;
use crate::{Error, Transaction};

/// Replaces the terms of a locked order. Called where a reference changes.
pub(crate) async fn write_terms(
    transaction: &Transaction,
    order: &orders::Model,
) -> Result<(), Error> {
    let references = [&order.reference, &order.tracking_reference].map(Option::as_deref);
    let terms = search::order(order.id, references);
    let row = (&[Kind::Order][..], order.id.0);
    search::replace(transaction, order.business_id, row, terms).await
}
