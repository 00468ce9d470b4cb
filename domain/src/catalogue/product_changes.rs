//! Changes of the catalogue, for systems that keep a copy ([`crate::audit::changes`]).
//!
//! A product changes with its own record and with the sales that it is in, joins or leaves. Stock moves and the opening
//! and closing of sales are no changes of a product.

use std::sync::LazyLock;

use entity::{BusinessId, Tenant, inventory, products};
use sea_orm::{ColumnTrait, QueryFilter};
use uuid::Uuid;

use super::products::{Filter, Product, complete};
use crate::audit::changes::{Changes, Following, Noun};
use crate::{Database, Error, Transaction};

/// The products that an entry changed: its own, and those that its sale had before or has since.
///
/// Raw: a part of the statements of changes.
static NOUN: LazyLock<Noun<Product>> = LazyLock::new(|| {
    Noun::new(
        "
SELECT transaction_id, id, entity_id AS row_id FROM walked WHERE entity_type = 'product'
UNION
SELECT transaction_id, id, (product->>'product_id')::uuid
  FROM walked CROSS JOIN LATERAL jsonb_array_elements(walked.products) AS product",
        |product| product.product.id.0,
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
    let read = async |transaction: &Transaction, ids: Vec<Uuid>| {
        let found = products::Entity::of(business)
            .find_also_related(inventory::Entity)
            .filter(products::Column::Id.eq_any(ids))
            .all(transaction)
            .await?;
        complete(transaction, business, reader.buyer, found).await
    };
    NOUN.list(database, business, following, read).await
}
