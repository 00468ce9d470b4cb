//! Changes of payments, for systems that keep a copy ([`crate::audit::changes`]).

use std::sync::LazyLock;

use entity::{Tenant, payments};
use sea_orm::{ColumnTrait, QueryFilter};
use uuid::Uuid;

use super::documents;
use super::payments::{Listed, Payment, with_names};
use crate::audit::changes::{Changes, Following, Noun};
use crate::{Caller, Database, Error, Transaction};

/// The payments that an entry changed: its own, and those of which its transaction allocated, paid out or took back a
/// part. The allocations and payout allocations of a transaction have its time, as its entry has. Those of orders that
/// are placed together are told apart by their orders.
///
/// Raw: a part of the statements of changes.
static NOUN: LazyLock<Noun<Listed>> = LazyLock::new(|| {
    Noun::new(
        "
SELECT transaction_id, id, entity_id AS row_id FROM walked WHERE entity_type = 'payment'
UNION
SELECT w.transaction_id, w.id, p.id
  FROM walked w
  JOIN allocations a ON a.business_id = $1 AND a.created_at = w.created_at
  JOIN payments p ON p.business_id = $1 AND p.customer_id = a.customer_id AND p.entry_number = a.entry_number
 WHERE w.entity_type IN ('payment', 'credit_note', 'write_off', 'customer')
    OR w.action = 'order.cancelled'
    OR w.action = 'order.approved' AND a.order_id = w.entity_id
UNION
SELECT w.transaction_id, w.id, p.id
  FROM walked w
  JOIN payout_allocations a
    ON a.business_id = $1 AND a.customer_id = w.customer_id AND a.created_at = w.created_at
  JOIN payments p ON p.business_id = $1 AND p.customer_id = a.customer_id AND p.entry_number = a.credit_entry
 WHERE w.entity_type IN ('payment', 'credit_note', 'write_off', 'payout') OR w.action = 'order.cancelled'",
        |listed| listed.payment.payment.id.0,
    )
});

/// Lists payments in the order of their changes.
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
        let rows = payments::Entity::of(business)
            .filter(payments::Column::Id.eq_any(ids))
            .all(transaction)
            .await?;
        let payments: Vec<Payment> = documents::complete(transaction, business, rows).await?;
        with_names(transaction, business, payments).await
    };
    NOUN.list(database, business, following, read).await
}
