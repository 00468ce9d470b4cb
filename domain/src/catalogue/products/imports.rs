//! Import of products: new products with their first stock, all or none.
//!
//! Locks nothing. Costs one statement for the table, and five per 1,000 rows.

use std::sync::LazyLock;

use chrono::Utc;
use entity::stock_movements::Reason;
use entity::{ProductId, products};
use sea_orm::ConnectionTrait;

use super::{NewProduct, audit_snapshot};
use crate::audit::{self, Action, Change};
use crate::foundation::imports::{CHUNK, Import, ImportRow, Imported, RowRefusal};
use crate::foundation::rows::{ArrayStatement, Columns, Insert, Row};
use crate::foundation::{search, tables};
use crate::stock::inventory::{self, NewMovement};
use crate::stock::skus;
use crate::{Caller, Database, Error, Outcome, Transaction, WriteRequest};

/// A product to be inserted. The columns that it does not name have their defaults.
struct NewRow<'a>(&'a products::Model);

impl Row for NewRow<'_> {
    const NAME: &'static str = "new_product";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("id", |new| new.0.id);
        columns.column("sku", |new| new.0.sku.clone());
        columns.column("name", |new| new.0.name.clone());
        columns.nullable("description", |new| new.0.description.clone());
        columns.column("price", |new| new.0.price);
        columns.nullable("limit_per_customer", |new| new.0.limit_per_customer);
        columns.column("active", |new| new.0.active);
        columns.nullable("metadata", |new| new.0.metadata.clone());
        columns.nullable("image_url", |new| new.0.image_url.clone());
    }
}

impl Insert for NewRow<'_> {
    const TABLE: &'static str = "products";
}

/// The inventory row of a new product.
struct NewStock {
    product_id: ProductId,
    on_hand: i64,
}

impl Row for NewStock {
    const NAME: &'static str = "new_stock";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("product_id", |new| new.product_id);
        columns.column("on_hand", |new| new.on_hand);
    }
}

impl Insert for NewStock {
    const TABLE: &'static str = "inventory";
}

static INSERT: LazyLock<ArrayStatement> =
    LazyLock::new(|| ArrayStatement::new(|arrays| arrays.insert::<NewRow<'_>>()));

static INSERT_STOCK: LazyLock<ArrayStatement> =
    LazyLock::new(|| ArrayStatement::new(|arrays| arrays.insert::<NewStock>()));

/// Adds the products of a table, in the order of its rows.
///
/// # Errors
/// [`Error::RowsRefused`] with every SKU that is in use or repeated; those of [`WriteRequest`].
pub async fn import(
    database: &Database,
    request: &WriteRequest<'_, Imported>,
    import: &Import<NewProduct>,
) -> Result<Outcome<Imported>, Error> {
    let caller = request.caller;
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            check(transaction, caller, &import.rows).await?;
            if import.dry_run {
                return write.discard(import.outcome()).await;
            }
            for rows in import.rows.chunks(CHUNK) {
                insert(transaction, caller, rows).await?;
            }
            write.finish(import.outcome()).await
        })
        .await
}

/// Finds every SKU that is in use or repeated.
async fn check(
    transaction: &Transaction,
    caller: &Caller,
    rows: &[ImportRow<NewProduct>],
) -> Result<(), Error> {
    let found = skus::find(transaction, caller.business_id, rows, |new| {
        &new.details.sku
    })
    .await?;
    let faults = found.iter().filter_map(|found| match found.product_id {
        Some(_) => Some(found.fault(RowRefusal::Taken)),
        None => found.repeated(),
    });
    tables::refuse(faults.collect())
}

/// Writes products, the terms by which they are found, their inventory rows, the movements of their first stock, and
/// their audit entries.
async fn insert(
    transaction: &Transaction,
    caller: &Caller,
    rows: &[ImportRow<NewProduct>],
) -> Result<(), Error> {
    let products = rows.iter().map(|row| record(caller, &row.value));
    let products: Vec<products::Model> = products.collect();
    let new: Vec<NewRow<'_>> = products.iter().map(NewRow).collect();
    let statement = INSERT.of(caller.business_id).rows(&new).statement()?;
    tables::insert(transaction, statement).await?;
    let stock = products.iter().zip(rows).map(|(product, row)| NewStock {
        product_id: product.id,
        on_hand: row.value.stock,
    });
    let stock: Vec<NewStock> = stock.collect();
    let statement = INSERT_STOCK
        .of(caller.business_id)
        .rows(&stock)
        .statement()?;
    transaction.execute_raw(statement).await?;
    let terms = products.iter();
    let terms = terms.flat_map(|product| search::product(product.id, &product.sku));
    search::insert(transaction, caller.business_id, terms).await?;
    let movements = stock.iter().filter(|stock| stock.on_hand != 0);
    let movements = movements.map(|stock| {
        let movement = NewMovement {
            quantity: stock.on_hand,
            on_hand_after: stock.on_hand,
            reason: Reason::Received,
            note: None,
        };
        (stock.product_id, movement)
    });
    inventory::record_all(transaction, caller, movements).await?;
    let changes = products.iter().map(|product| Change {
        action: Action::ProductCreated,
        entity_type: "product",
        entity_id: product.id.0,
        before: None,
        after: audit_snapshot(product, caller.currency),
    });
    audit::record_all(transaction, caller.into(), changes).await
}

/// The row of a new product. The database sets its times. An empty description is none: an array cannot hold it.
fn record(caller: &Caller, new: &NewProduct) -> products::Model {
    let details = new.details.clone();
    let now = Utc::now();
    products::Model {
        business_id: caller.business_id,
        id: ProductId::new(),
        sku: details.sku,
        name: details.name,
        description: details.description.filter(|text| !text.is_empty()),
        price: details.price,
        limit_per_customer: details.limit_per_customer,
        active: details.active,
        in_sale: false,
        metadata: details.metadata,
        image_url: details.image_url,
        picture_id: None,
        picture_width: None,
        picture_height: None,
        created_at: now,
        updated_at: now,
    }
}
