//! Changes of orders, for systems that keep a copy ([`crate::audit::changes`]).

use std::sync::LazyLock;

use entity::{Tenant, orders};
use sea_orm::{ColumnTrait, QueryFilter};
use uuid::Uuid;

use super::listing::{self, Listed};
use crate::audit::changes::{Changes, Following, Noun};
use crate::{Caller, Database, Error, Transaction};

/// The orders that an entry changed: its own, those of its refund or dispute, and those that its transaction settled
/// or opened again. The allocations of a transaction have its time, as its entry has. Those of an order that is placed
/// settle that order only.
///
/// Raw: a part of the statements of changes.
static NOUN: LazyLock<Noun<Listed>> = LazyLock::new(|| {
    Noun::new(
        "
SELECT transaction_id, id, entity_id AS row_id FROM walked WHERE entity_type = 'order'
UNION
SELECT transaction_id, id, order_id FROM walked WHERE entity_type IN ('refund', 'dispute')
UNION
SELECT w.transaction_id, w.id, a.order_id
  FROM walked w JOIN allocations a ON a.business_id = $1 AND a.created_at = w.created_at
 WHERE w.entity_type IN ('payment', 'credit_note', 'write_off', 'customer') OR w.action = 'order.cancelled'",
        |listed| listed.order.id.0,
    )
});

/// Lists orders in the order of their changes, for staff.
///
/// # Errors
/// [`Error::Forbidden`] for customers; [`Error::CursorExpired`]; [`Error::DatabaseUnavailable`].
pub async fn list_changes(
    database: &Database,
    caller: &Caller,
    following: &Following,
) -> Result<Changes<Listed>, Error> {
    if caller.confined_to().is_some() {
        return Err(Error::Forbidden);
    }
    let business = caller.business_id;
    let read = async |transaction: &Transaction, ids: Vec<Uuid>| {
        let rows = orders::Entity::of(business)
            .filter(orders::Column::Id.eq_any(ids))
            .all(transaction)
            .await?;
        listing::with_names(transaction, business, rows).await
    };
    NOUN.list(database, business, following, read).await
}
