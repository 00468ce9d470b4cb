//! Changes of customers, for systems that keep a copy ([`crate::audit::changes`]).

use std::sync::LazyLock;

use entity::{Tenant, customers};
use sea_orm::{ColumnTrait, QueryFilter};
use uuid::Uuid;

use crate::audit::changes::{Changes, Following, Noun};
use crate::{Caller, Database, Error, Transaction};

/// The customers that an entry changed: its own, and those whose balance or credit on account changed.
///
/// Raw: a part of the statements of changes.
static NOUN: LazyLock<Noun<customers::Model>> = LazyLock::new(|| {
    Noun::new(
        "
SELECT transaction_id, id, entity_id AS row_id FROM walked WHERE entity_type = 'customer'
UNION
SELECT transaction_id, id, customer_id
  FROM walked
 WHERE entity_type IN ('payment', 'credit_note', 'write_off', 'payout')
    OR action IN ('order.approved', 'order.cancelled', 'order.imported')",
        |customer| customer.id.0,
    )
});

/// Lists customers in the order of their changes.
///
/// # Errors
/// [`Error::Forbidden`] for customers; [`Error::CursorExpired`]; [`Error::DatabaseUnavailable`].
pub async fn list_changes(
    database: &Database,
    caller: &Caller,
    following: &Following,
) -> Result<Changes<customers::Model>, Error> {
    if caller.confined_to().is_some() {
        return Err(Error::Forbidden);
    }
    let business = caller.business_id;
    let read = async |transaction: &Transaction, ids: Vec<Uuid>| {
        let rows = customers::Entity::of(business).filter(customers::Column::Id.eq_any(ids));
        Ok(rows.all(transaction).await?)
    };
    NOUN.list(database, business, following, read).await
}
