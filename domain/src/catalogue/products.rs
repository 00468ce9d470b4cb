//! Products: their catalogue data, price, availability and limit per customer.

mod imports;
mod shared;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::sales::State;
use entity::search_terms::Kind;
use entity::stock_movements::Reason;
use entity::{
    BusinessId, Currency, CustomerId, Metadata, Money, ProductId, Tenant, inventory, products,
};
use sea_orm::sea_query::extension::postgres::PgExpr;
use sea_orm::sea_query::{Expr, ExprTrait, Func, SimpleExpr};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, IntoActiveModel, QueryFilter,
    QuerySelect, QueryTrait, Select,
};
use serde_json::{Value, json};

use crate::audit::{self, Action, Change};
use crate::catalogue::sales::{self, InSales, Offer, Selling};
use crate::foundation::metadata::MetadataChange;
use crate::foundation::retry::retry;
use crate::foundation::{locks, search};
use crate::stock::locked_stock::{self, Range};
use crate::{Caller, Database, Error, Outcome, Page, Paging, Transaction, WriteRequest};

pub use imports::import;
pub(crate) use shared::SharedProducts;

/// A row of the catalogue with its stock.
type Found = (products::Model, Option<inventory::Model>);

/// A product to be created.
#[derive(Debug, Clone)]
pub struct NewProduct {
    /// The catalogue data.
    pub details: Details,
    /// The first stock on hand, in units; may be 0.
    pub stock: i64,
}

/// The catalogue data of a product.
#[derive(Debug, Clone)]
pub struct Details {
    /// The stock-keeping unit. Unique within the business, whatever the case and width of its letters.
    pub sku: String,
    /// The name that orders copy.
    pub name: String,
    /// A longer text; `None` without one.
    pub description: Option<String>,
    /// The list price of one unit.
    pub price: Money,
    /// The most units that one customer may ever buy; `None` means no limit.
    pub limit_per_customer: Option<i32>,
    /// Whether it is on sale.
    pub active: bool,
    /// Keys of the business's programs; not empty.
    pub metadata: Option<Metadata>,
    /// The URL of a picture at another server.
    pub image_url: Option<String>,
}

/// A change of a product. `None` keeps a field; `Some(None)` clears it.
#[derive(Debug, Clone, Default)]
pub struct ProductChange {
    /// See [`Details`] for this and the other fields.
    pub sku: Option<String>,
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub price: Option<Money>,
    pub limit_per_customer: Option<Option<i32>>,
    pub active: Option<bool>,
    pub metadata: MetadataChange,
    pub image_url: Option<Option<String>>,
}

/// A product with its availability and its price for the reader.
#[derive(Debug, Clone)]
pub struct Product {
    /// The row of the catalogue.
    pub product: products::Model,
    /// Units that a new buyer could get now.
    pub available: i64,
    /// Reservations in its waitlist.
    pub waiting: i64,
    /// The price of one unit for the reader now. The list price while it is not for sale.
    pub price: Money,
    /// The open sale in which the reader would buy it, otherwise the next sale to open; `None` without either.
    pub sale: Option<CurrentSale>,
    /// The reason why it cannot be bought; `None` if it can.
    pub not_for_sale: Option<NotForSale>,
}

/// The reason why a product cannot be bought, whatever its stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotForSale {
    /// It was taken off sale.
    Inactive,
    /// It is in exclusive sales, and none of them is open.
    NotInSale {
        /// Whether the sale is still to open.
        upcoming: bool,
        /// The opening of the next exclusive sale, or of the last one.
        opens_at: DateTime<Utc>,
        /// The closing of that sale.
        closes_at: DateTime<Utc>,
    },
}

/// A timed sale with a product in it.
#[derive(Debug, Clone)]
pub struct CurrentSale {
    /// The terms of the sale.
    pub offer: Offer,
    /// Whether it is upcoming, open or closed, by the database's clock.
    pub state: State,
}

/// The filter of a list, and its reader.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Text that the name or the SKU contains, in any case.
    pub search: Option<String>,
    /// The SKU, in any case and width.
    pub sku: Option<String>,
    /// Whether to include products that are off sale.
    pub inactive_too: bool,
    /// The customer whose price is returned; `None` for the price of a new customer.
    pub buyer: Option<CustomerId>,
}

impl From<Details> for ProductChange {
    /// A change that replaces all fields.
    fn from(details: Details) -> Self {
        Self {
            sku: Some(details.sku),
            name: Some(details.name),
            description: Some(details.description),
            price: Some(details.price),
            limit_per_customer: Some(details.limit_per_customer),
            active: Some(details.active),
            metadata: MetadataChange::Replace(details.metadata),
            image_url: Some(details.image_url),
        }
    }
}

/// Creates a product with its stock.
///
/// # Errors
/// [`Error::AlreadyExists`] for the SKU; those of [`WriteRequest`].
pub async fn create(
    database: &Database,
    request: &WriteRequest<'_, Product>,
    new: &NewProduct,
) -> Result<Outcome<Product>, Error> {
    let caller = request.caller;
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            let product = insert(transaction, caller, ProductId::new(), new).await?;
            write.finish(product).await
        })
        .await
}

/// Writes a new product, its inventory row, the movement of its first stock, and its audit entry.
pub(crate) async fn insert(
    transaction: &Transaction,
    caller: &Caller,
    id: ProductId,
    new: &NewProduct,
) -> Result<Product, Error> {
    let details = new.details.clone();
    let product = products::ActiveModel {
        business_id: Set(caller.business_id),
        id: Set(id),
        sku: Set(details.sku),
        name: Set(details.name),
        description: Set(details.description),
        price: Set(details.price),
        limit_per_customer: Set(details.limit_per_customer),
        active: Set(details.active),
        metadata: Set(details.metadata),
        image_url: Set(details.image_url),
        ..Default::default()
    }
    .insert(transaction)
    .await?;
    inventory::ActiveModel {
        business_id: Set(caller.business_id),
        product_id: Set(id),
        on_hand: Set(new.stock),
        ..Default::default()
    }
    .insert(transaction)
    .await?;
    search::insert(
        transaction,
        caller.business_id,
        search::product(id, &product.sku),
    )
    .await?;
    if new.stock != 0 {
        let movement = crate::stock::inventory::NewMovement {
            quantity: new.stock,
            on_hand_after: new.stock,
            reason: Reason::Received,
            note: None,
        };
        crate::stock::inventory::record(transaction, caller, id, movement).await?;
    }
    let change = Change {
        action: Action::ProductCreated,
        entity_type: "product",
        entity_id: id.0,
        before: None,
        after: audit_snapshot(&product, caller.currency),
    };
    audit::record(transaction, caller, change).await?;
    Ok(Product::plain(product, new.stock))
}

/// Changes the catalogue data of a product. A change to the values that it has is none: it leaves no trace. Its stock changes in [`crate::stock::inventory`] only.
///
/// # Errors
/// [`Error::ProductNotFound`]; [`Error::AlreadyExists`] for the SKU; [`Error::TooManyMetadataKeys`].
pub async fn change(
    database: &Database,
    caller: &Caller,
    id: ProductId,
    change: &ProductChange,
) -> Result<Product, Error> {
    retry(|| async {
        let transaction = database.begin(caller.business_id).await?;
        let product = locks::product(&transaction, caller.business_id, id)
            .await?
            .ok_or(Error::ProductNotFound(id))?;
        let Some(row) = apply(&product, change)? else {
            let product = with_stock(&transaction, product).await?;
            transaction.commit().await?;
            return Ok(product);
        };
        let before = audit_snapshot(&product, caller.currency);
        let (was_active, sku) = (product.active, product.sku);
        let product = row.update(&transaction).await?;
        if product.sku != sku {
            let terms = search::product(id, &product.sku);
            let row = (&[Kind::Product][..], id.0);
            search::replace(&transaction, caller.business_id, row, terms).await?;
        }
        if was_active && !product.active {
            cancel_waitlist(&transaction, caller.business_id, id).await?;
        }
        let event = Change {
            action: Action::ProductChanged,
            entity_type: "product",
            entity_id: id.0,
            before: Some(before),
            after: audit_snapshot(&product, caller.currency),
        };
        audit::record(&transaction, caller, event).await?;
        let product = with_stock(&transaction, product).await?;
        transaction.commit().await?;
        Ok(product)
    })
    .await
}

/// The product with its availability, as staff see it.
pub(super) async fn with_stock(
    transaction: &Transaction,
    product: products::Model,
) -> Result<Product, Error> {
    let (business, id) = (product.business_id, product.id);
    let stock = inventory::Entity::by_id(business, id)
        .one(transaction)
        .await?;
    let mut products = complete(transaction, business, None, [(product, stock)]).await?;
    products.pop().ok_or(Error::ProductNotFound(id))
}

/// Cancels the waitlist of a product that is taken off sale. Its stock is locked after its product row. This cannot
/// deadlock, since no transaction that has locked stock waits for a product row.
async fn cancel_waitlist(
    transaction: &Transaction,
    business: BusinessId,
    id: ProductId,
) -> Result<(), Error> {
    // Opening the locked stock allocates its waitlist, which cancels that of a product off sale.
    let locked_stock = locked_stock::lock(transaction, business, [(id, Range::default())]).await?;
    locked_stock::write(transaction, business, &locked_stock, Vec::new(), Vec::new()).await?;
    Ok(())
}

/// The changed row; `None` if it has these values.
fn apply(
    product: &products::Model,
    change: &ProductChange,
) -> Result<Option<products::ActiveModel>, Error> {
    let metadata = change.metadata.applied_to(product.metadata.clone())?;
    let mut row = product.clone().into_active_model();
    row.metadata.set_if_not_equals(metadata);
    if let Some(sku) = &change.sku {
        row.sku.set_if_not_equals(sku.clone());
    }
    if let Some(name) = &change.name {
        row.name.set_if_not_equals(name.clone());
    }
    if let Some(description) = &change.description {
        row.description.set_if_not_equals(description.clone());
    }
    if let Some(price) = change.price {
        row.price.set_if_not_equals(price);
    }
    if let Some(limit) = change.limit_per_customer {
        row.limit_per_customer.set_if_not_equals(limit);
    }
    if let Some(active) = change.active {
        row.active.set_if_not_equals(active);
    }
    if let Some(image_url) = &change.image_url {
        row.image_url.set_if_not_equals(image_url.clone());
    }
    if !row.is_changed() {
        return Ok(None);
    }
    row.updated_at = Set(chrono::Utc::now());
    Ok(Some(row))
}

/// Reads a product with its availability, for the reader that the filter describes.
///
/// # Errors
/// [`Error::ProductNotFound`].
pub async fn read(
    database: &Database,
    business: BusinessId,
    id: ProductId,
    reader: &Filter,
) -> Result<Product, Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let found = one(&transaction, business, id, reader).await?;
        let mut products = complete(&transaction, business, reader.buyer, Some(found)).await?;
        transaction.commit().await?;
        products.pop().ok_or(Error::ProductNotFound(id))
    })
    .await
}

/// As [`read`], for every reader who does not see inactive products.
pub(super) async fn read_shared(
    database: &Database,
    business: BusinessId,
    id: ProductId,
) -> Result<SharedProducts, Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let found = one(&transaction, business, id, &Filter::default()).await?;
        let shared = SharedProducts::read(&transaction, business, Some(found)).await?;
        transaction.commit().await?;
        Ok(shared)
    })
    .await
}

async fn one(
    transaction: &Transaction,
    business: BusinessId,
    id: ProductId,
    reader: &Filter,
) -> Result<Found, Error> {
    let found = products::Entity::of(business)
        .find_also_related(inventory::Entity)
        .filter(products::Column::Id.eq(id))
        .one(transaction)
        .await?;
    found
        .filter(|(product, _)| reader.inactive_too || product.active)
        .ok_or(Error::ProductNotFound(id))
}

/// Reads several products, for the reader that the filter describes. Those that do not exist are left out.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn read_several(
    database: &Database,
    business: BusinessId,
    ids: &[ProductId],
    reader: &Filter,
) -> Result<HashMap<ProductId, Product>, Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let found = filtered(business, reader)
            .find_also_related(inventory::Entity)
            .filter(products::Column::Id.eq_any(ids.iter().copied()))
            .all(&transaction)
            .await?;
        let products = complete(&transaction, business, reader.buyer, found).await?;
        transaction.commit().await?;
        let products = products.into_iter();
        Ok(products
            .map(|product| (product.product.id, product))
            .collect())
    })
    .await
}

/// Lists products in the order of their creation.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    business: BusinessId,
    filter: &Filter,
    paging: &Paging<ProductId>,
) -> Result<Page<Product, ProductId>, Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let page = page(&transaction, business, filter, paging).await?;
        let rows = complete(&transaction, business, filter.buyer, page.rows).await?;
        transaction.commit().await?;
        Ok(Page {
            rows,
            next: page.next,
        })
    })
    .await
}

/// As [`list`], for every reader who sees what the filter describes, and the key of the next page.
pub(super) async fn list_shared(
    database: &Database,
    business: BusinessId,
    filter: &Filter,
    paging: &Paging<ProductId>,
) -> Result<(SharedProducts, Option<ProductId>), Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let page = page(&transaction, business, filter, paging).await?;
        let shared = SharedProducts::read(&transaction, business, page.rows).await?;
        transaction.commit().await?;
        Ok((shared, page.next))
    })
    .await
}

async fn page(
    transaction: &Transaction,
    business: BusinessId,
    filter: &Filter,
    paging: &Paging<ProductId>,
) -> Result<Page<Found, ProductId>, Error> {
    let select = filtered(business, filter).find_also_related(inventory::Entity);
    let select = paging.ascending(select, products::Column::Id);
    let rows = select.all(transaction).await?;
    Ok(Page::of(rows, paging, |(product, _)| product.id))
}

/// The number of products that the list has, up to `most`.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn count(
    database: &Database,
    business: BusinessId,
    filter: &Filter,
    most: u64,
) -> Result<u64, Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let rows = filtered(business, filter).select_only();
        let rows = rows.column(products::Column::Id).into_query();
        let count = search::pages::counted(&transaction, rows, most).await?;
        transaction.commit().await?;
        Ok(count)
    })
    .await
}

fn filtered(business: BusinessId, filter: &Filter) -> Select<products::Entity> {
    let mut select = products::Entity::of(business);
    if !filter.inactive_too {
        select = select.filter(products::Column::Active.eq(true));
    }
    if let Some(sku) = &filter.sku {
        select = select.filter(has_sku(sku));
    }
    if let Some(text) = &filter.search {
        select = select.filter(matches(text));
    }
    select
}

/// Compares the SKU, in any case and width. The function `sku_key` and its index belong to the schema.
fn has_sku(sku: &str) -> SimpleExpr {
    let key = |text: SimpleExpr| SimpleExpr::from(Func::cust("sku_key").arg(text));
    key(Expr::col(products::Column::Sku.as_column_ref())).eq(key(Expr::val(sku)))
}

/// Whether the name or the SKU contains the text literally: `%` and `_` are escaped.
fn matches(text: &str) -> Condition {
    let escaped = text
        .replace('\\', r"\\")
        .replace('%', r"\%")
        .replace('_', r"\_");
    let pattern = format!("%{escaped}%");
    let contains =
        |column: products::Column| Expr::col(column.as_column_ref()).ilike(pattern.clone());
    Condition::any()
        .add(contains(products::Column::Name))
        .add(contains(products::Column::Sku))
}

impl Product {
    /// A product without its timed sales.
    fn plain(product: products::Model, available: i64) -> Self {
        Self {
            available,
            waiting: 0,
            price: product.price,
            sale: None,
            not_for_sale: (!product.active).then_some(NotForSale::Inactive),
            product,
        }
    }

    /// Applies the product's timed sales; `has` is what the reader has used of each sale's limit.
    fn in_sales(&mut self, offers: &[Offer], has: &InSales, now: DateTime<Utc>) {
        let product = &self.product;
        let selling = Selling::at(offers, product.price, now);
        let mine = |offer: &Offer| has.get(&(product.id, offer.sale_id)).copied();
        let offer = selling.offer_for(|offer| mine(offer).unwrap_or(0));
        if let Some(offer) = offer {
            self.price = offer.price(product.price);
        }
        self.sale = offer
            .or_else(|| sales::next(offers, now))
            .map(|offer| CurrentSale {
                state: offer.state(now),
                offer: offer.clone(),
            });
        if let (Selling::Closed(offer), None) = (&selling, self.not_for_sale) {
            self.not_for_sale = Some(NotForSale::NotInSale {
                upcoming: offer.state(now) == State::Upcoming,
                opens_at: offer.opens_at,
                closes_at: offer.closes_at,
            });
        }
    }
}

/// Adds availability and sales to the rows. Most products have no holds and no sales, so most pages cost no further
/// query.
pub(super) async fn complete(
    transaction: &Transaction,
    business: BusinessId,
    buyer: Option<CustomerId>,
    found: impl IntoIterator<Item = Found>,
) -> Result<Vec<Product>, Error> {
    let shared = SharedProducts::read(transaction, business, found).await?;
    let now = shared.now();
    let has = match buyer {
        Some(buyer) => sales::in_sales(transaction, business, buyer, &shared.limits(now)).await?,
        None => InSales::new(),
    };
    Ok(shared.seen_with(&has, now))
}

pub(super) fn audit_snapshot(product: &products::Model, currency: Currency) -> Value {
    json!({
        "sku": product.sku,
        "name": product.name,
        "description": product.description,
        "price": product.price.to_text(currency),
        "limit_per_customer": product.limit_per_customer,
        "active": product.active,
        "metadata": product.metadata,
        "image_url": product.image_url,
        "picture": product.picture().map(|picture| json!({
            "id": picture.id, "width": picture.width, "height": picture.height,
        })),
    })
}
