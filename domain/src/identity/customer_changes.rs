//! Changes of customers, for systems that keep a copy ([`crate::audit::changes`]).

use std::sync::LazyLock;

use entity::{Tenant, customers};
use sea_orm::{ColumnTrait, QueryFilter};

use crate::audit::changes::{self, Changes, Following, Statements};
use crate::foundation::retry::retry;
use crate::{Caller, Database, Error};

/// The customers that an entry changed: its own, and those whose balance or credit on account changed.
///
/// Raw: a part of the statements of changes.
static CHANGED: LazyLock<Statements> = LazyLock::new(|| {
    Statements::of(
        "
SELECT transaction_id, id, entity_id AS row_id FROM walked WHERE entity_type = 'customer'
UNION
SELECT transaction_id, id, customer_id
  FROM walked
 WHERE entity_type IN ('payment', 'credit_note', 'write_off', 'payout')
    OR action IN ('order.approved', 'order.cancelled', 'order.imported')",
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
    retry(|| async {
        let transaction = database.begin_snapshot(business, &[]).await?;
        let changed = changes::walk(&transaction, business, &CHANGED, following).await?;
        let rows = customers::Entity::of(business)
            .filter(customers::Column::Id.eq_any(changed.ids.clone()))
            .all(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(changed.with(rows, |customer| customer.id.0))
    })
    .await
}
