//! Changes of the catalogue, for systems that keep a copy ([`crate::audit::changes`]).
//!
//! A product changes with its own record and with the sales that it is in, joins or leaves. Stock moves and the opening
//! and closing of sales are no changes of a product.

use std::sync::LazyLock;

use entity::{BusinessId, Tenant, inventory, products};
use sea_orm::{ColumnTrait, QueryFilter};

use super::products::{Filter, Product, complete};
use crate::audit::changes::{self, Changes, Following, Statements};
use crate::foundation::retry::retry;
use crate::{Database, Error};

/// The products that an entry changed: its own, and those that its sale had before or has since.
///
/// Raw: a part of the statements of changes.
static CHANGED: LazyLock<Statements> = LazyLock::new(|| {
    Statements::of(
        "
SELECT transaction_id, id, entity_id AS row_id FROM walked WHERE entity_type = 'product'
UNION
SELECT transaction_id, id, (product->>'product_id')::uuid
  FROM walked CROSS JOIN LATERAL jsonb_array_elements(walked.products) AS product",
    )
});

/// Lists products in the order of their changes, for the reader that the filter describes.
///
/// # Errors
/// [`Error::Forbidden`] for a reader who does not see inactive products, and so could not follow; otherwise
/// [`Error::CursorExpired`]; [`Error::DatabaseUnavailable`].
pub async fn list_changes(
    database: &Database,
    business: BusinessId,
    reader: &Filter,
    following: &Following,
) -> Result<Changes<Product>, Error> {
    if !reader.inactive_too {
        return Err(Error::Forbidden);
    }
    retry(|| async {
        let transaction = database.begin_snapshot(business, &[]).await?;
        let changed = changes::walk(&transaction, business, &CHANGED, following).await?;
        let found = products::Entity::of(business)
            .find_also_related(inventory::Entity)
            .filter(products::Column::Id.eq_any(changed.ids.clone()))
            .all(&transaction)
            .await?;
        let rows = complete(&transaction, business, reader.buyer, found).await?;
        transaction.commit().await?;
        Ok(changed.with(rows, |product| product.product.id.0))
    })
    .await
}
