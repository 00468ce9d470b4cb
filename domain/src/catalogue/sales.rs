//! Timed sales. A discount lowers the price of its products while it is open. Products in an exclusive sale are sold
//! only while it is open.
//!
//! A sale's row is locked before its product rows, which are locked by id. Under these locks `products.in_sale` is
//! kept true for exactly the products in a sale, so that purchases of others skip the look-up.
//!
//! A product's price in a sale must not exceed its list price when it is set. Lowering the list price later does not
//! change sales: see [`Offer::price`].

mod history;
mod offer;

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use entity::sales::{Kind, State};
use entity::{
    BusinessId, Currency, Money, ProductId, SaleId, Tenant, products, sale_products, sales,
};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QueryTrait,
};
use serde_json::json;

use crate::audit::{self, Action, Change};
use crate::foundation::clock;
use crate::foundation::dates::exact;
use crate::foundation::locks;
use crate::foundation::retry::retry;
use crate::{Caller, Database, Error, Outcome, Page, Paging, Transaction, WriteRequest};

pub(crate) use history::{InSales, Limited, bought, in_sales, read_in_sales};
pub use offer::{Offer, Selling};
pub(crate) use offer::{next, of_products};

/// A sale to be created.
#[derive(Debug, Clone)]
pub struct NewSale {
    /// The name that readers see.
    pub name: String,
    /// Whether its products are sold outside its window.
    pub kind: Kind,
    /// Its products, each once.
    pub products: Vec<SaleProduct>,
    /// The opening, included.
    pub opens_at: DateTime<Utc>,
    /// The closing, excluded. Must be after the opening.
    pub closes_at: DateTime<Utc>,
    /// The most units of each product that one customer may buy or hold in the sale; `None` means no limit.
    pub limit_per_customer: Option<i32>,
}

/// A product in a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaleProduct {
    /// The product, which must exist.
    pub product_id: ProductId,
    /// The price while the sale is open; `None` means the list price.
    pub price: Option<Money>,
}

/// A change of a sale. `None` keeps a field; `Some(None)` clears it.
#[derive(Debug, Clone, Default)]
pub struct SaleChange {
    /// See [`NewSale`] for this and the other fields.
    pub name: Option<String>,
    pub kind: Option<Kind>,
    pub products: Option<Vec<SaleProduct>>,
    pub opens_at: Option<DateTime<Utc>>,
    pub closes_at: Option<DateTime<Utc>>,
    pub limit_per_customer: Option<Option<i32>>,
}

/// A sale with its products.
#[derive(Debug, Clone)]
pub struct Sale {
    /// The row of the sale.
    pub sale: sales::Model,
    /// Its products, ordered by id.
    pub products: Vec<SaleProduct>,
    /// Whether it is upcoming, open or closed, by the database's clock.
    pub state: State,
}

/// Creates a sale.
///
/// # Errors
/// [`Error::ProductNotFound`]; [`Error::SalePriceAboveListPrice`]; [`Error::SaleNeverOpen`]; those of [`WriteRequest`].
pub async fn create(
    database: &Database,
    request: &WriteRequest<'_, Sale>,
    new: &NewSale,
) -> Result<Outcome<Sale>, Error> {
    let caller = request.caller;
    request
        .run(database, || async {
            let write = request.begin(database).await?;
            let transaction = write.transaction();
            let list_prices =
                lock_products(transaction, caller.business_id, &new.products, []).await?;
            if let Some(replayed) = write.replayed().await? {
                return Ok(replayed);
            }
            check_prices(&new.products, &list_prices)?;
            let row = sales::ActiveModel {
                business_id: Set(caller.business_id),
                id: Set(SaleId::new()),
                name: Set(new.name.clone()),
                kind: Set(new.kind),
                opens_at: Set(exact(new.opens_at)),
                closes_at: Set(exact(new.closes_at)),
                limit_per_customer: Set(new.limit_per_customer),
                ..Default::default()
            };
            let sale = row.insert(transaction).await?;
            insert_products(transaction, &sale, &new.products).await?;
            mark(transaction, caller.business_id, ids(&new.products)).await?;
            let sale = with_state(transaction, sale, new.products.clone()).await?;
            let event = Change {
                action: Action::SaleCreated,
                entity_type: "sale",
                entity_id: sale.sale.id.0,
                before: None,
                after: audit_snapshot(&sale.sale, &sale.products, caller.currency),
            };
            audit::record(transaction, caller, event).await?;
            write.finish(sale).await
        })
        .await
}

/// Changes a sale. A product that leaves its last sale is sold at its list price again.
///
/// # Errors
/// [`Error::SaleNotFound`]; [`Error::ProductNotFound`]; [`Error::SalePriceAboveListPrice`];
/// [`Error::SaleNeverOpen`].
pub async fn change(
    database: &Database,
    caller: &Caller,
    id: SaleId,
    change: &SaleChange,
) -> Result<Sale, Error> {
    retry(|| async {
        let business = caller.business_id;
        let transaction = database.begin(business).await?;
        let sale = locks::sale(&transaction, business, id)
            .await?
            .ok_or(Error::SaleNotFound(id))?;
        let products = products_of(&transaction, business, [id]).await?.remove(&id);
        let products = products.unwrap_or_default();
        let before = audit_snapshot(&sale, &products, caller.currency);
        let sale = apply(sale, change)?.update(&transaction).await?;
        let products = match &change.products {
            Some(new) => {
                replace(&transaction, &sale, &products, new).await?;
                new.clone()
            }
            None => products,
        };
        let sale = with_state(&transaction, sale, products).await?;
        let event = Change {
            action: Action::SaleChanged,
            entity_type: "sale",
            entity_id: id.0,
            before: Some(before),
            after: audit_snapshot(&sale.sale, &sale.products, caller.currency),
        };
        audit::record(&transaction, caller, event).await?;
        transaction.commit().await?;
        Ok(sale)
    })
    .await
}

fn apply(sale: sales::Model, change: &SaleChange) -> Result<sales::ActiveModel, Error> {
    let opens_at = change.opens_at.map_or(sale.opens_at, exact);
    let closes_at = change.closes_at.map_or(sale.closes_at, exact);
    if opens_at >= closes_at {
        let field = match change.closes_at {
            Some(_) => "closes_at",
            None => "opens_at",
        };
        return Err(Error::SaleNeverOpen { field });
    }
    let mut row = sale.into_active_model();
    if let Some(name) = &change.name {
        row.name = Set(name.clone());
    }
    if let Some(kind) = change.kind {
        row.kind = Set(kind);
    }
    row.opens_at = Set(opens_at);
    row.closes_at = Set(closes_at);
    if let Some(limit) = change.limit_per_customer {
        row.limit_per_customer = Set(limit);
    }
    row.updated_at = Set(Utc::now());
    Ok(row)
}

/// Replaces the products of a locked sale.
async fn replace(
    transaction: &Transaction,
    sale: &sales::Model,
    old: &[SaleProduct],
    new: &[SaleProduct],
) -> Result<(), Error> {
    let business = sale.business_id;
    let list_prices = lock_products(transaction, business, new, ids(old)).await?;
    check_prices(new, &list_prices)?;
    sale_products::Entity::delete_of(business)
        .filter(sale_products::Column::SaleId.eq(sale.id))
        .exec(transaction)
        .await?;
    insert_products(transaction, sale, new).await?;
    mark(transaction, business, ids(old).chain(ids(new))).await
}

/// Locks the product rows of new and leaving products, by id. Returns their list prices.
///
/// # Errors
/// [`Error::ProductNotFound`] for a new product that does not exist.
async fn lock_products(
    transaction: &Transaction,
    business: BusinessId,
    new: &[SaleProduct],
    leaving: impl IntoIterator<Item = ProductId>,
) -> Result<HashMap<ProductId, Money>, Error> {
    let touched: BTreeSet<ProductId> = ids(new).chain(leaving).collect();
    let columns = [products::Column::Id, products::Column::Price];
    let locked: Vec<(ProductId, Money)> =
        locks::products(transaction, business, touched, columns).await?;
    let list_prices: HashMap<ProductId, Money> = locked.into_iter().collect();
    match ids(new).find(|id| !list_prices.contains_key(id)) {
        Some(unknown) => Err(Error::ProductNotFound(unknown)),
        None => Ok(list_prices),
    }
}

/// Checks that no price in the sale exceeds the list price.
fn check_prices(
    products: &[SaleProduct],
    list_prices: &HashMap<ProductId, Money>,
) -> Result<(), Error> {
    for product in products {
        if let (Some(price), Some(list_price)) =
            (product.price, list_prices.get(&product.product_id))
            && price > *list_price
        {
            return Err(Error::SalePriceAboveListPrice {
                product_id: product.product_id,
                price,
                list_price: *list_price,
            });
        }
    }
    Ok(())
}

async fn insert_products(
    transaction: &Transaction,
    sale: &sales::Model,
    products: &[SaleProduct],
) -> Result<(), Error> {
    if products.is_empty() {
        return Ok(());
    }
    let rows = products.iter().map(|product| sale_products::ActiveModel {
        business_id: Set(sale.business_id),
        sale_id: Set(sale.id),
        product_id: Set(product.product_id),
        price: Set(product.price),
    });
    sale_products::Entity::insert_many(rows)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

/// Updates `in_sale` of locked products.
async fn mark(
    transaction: &Transaction,
    business: BusinessId,
    products: impl Iterator<Item = ProductId>,
) -> Result<(), Error> {
    use products::Column;

    let its_sales = sale_products::Entity::of(business).filter(
        sale_products::Column::ProductId
            .into_expr()
            .equals(Column::Id.as_column_ref()),
    );
    let is_in_sale = Expr::exists(its_sales.into_query());
    products::Entity::update_of(business)
        .col_expr(Column::InSale, is_in_sale.clone())
        .filter(Column::Id.eq_any(products))
        .filter(Column::InSale.into_expr().ne(is_in_sale))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Reads a sale with its products.
///
/// # Errors
/// [`Error::SaleNotFound`].
pub async fn read(database: &Database, business: BusinessId, id: SaleId) -> Result<Sale, Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let sale = sales::Entity::by_id(business, id)
            .one(&transaction)
            .await?
            .ok_or(Error::SaleNotFound(id))?;
        let products = products_of(&transaction, business, [id]).await?.remove(&id);
        let sale = with_state(&transaction, sale, products.unwrap_or_default()).await?;
        transaction.commit().await?;
        Ok(sale)
    })
    .await
}

/// Lists sales, newest first.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(
    database: &Database,
    business: BusinessId,
    paging: &Paging<SaleId>,
) -> Result<Page<Sale, SaleId>, Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let select = paging.descending(sales::Entity::of(business), sales::Column::Id);
        let rows = select.all(&transaction).await?;
        let page = Page::of(rows, paging, |sale| sale.id);
        let ids = page.rows.iter().map(|sale| sale.id);
        let mut products = products_of(&transaction, business, ids).await?;
        let now = clock::now(&transaction).await?;
        transaction.commit().await?;
        let rows = page.rows.into_iter().map(|sale| Sale {
            products: products.remove(&sale.id).unwrap_or_default(),
            state: State::at(now, sale.opens_at, sale.closes_at),
            sale,
        });
        Ok(Page {
            rows: rows.collect(),
            next: page.next,
        })
    })
    .await
}

async fn with_state(
    transaction: &Transaction,
    sale: sales::Model,
    mut products: Vec<SaleProduct>,
) -> Result<Sale, Error> {
    let now = clock::now(transaction).await?;
    products.sort_unstable_by_key(|product| product.product_id);
    Ok(Sale {
        products,
        state: State::at(now, sale.opens_at, sale.closes_at),
        sale,
    })
}

/// The products of these sales, ordered by id.
async fn products_of(
    transaction: &Transaction,
    business: BusinessId,
    sales: impl IntoIterator<Item = SaleId>,
) -> Result<HashMap<SaleId, Vec<SaleProduct>>, Error> {
    let ids: Vec<SaleId> = sales.into_iter().collect();
    let mut products: HashMap<SaleId, Vec<SaleProduct>> = HashMap::new();
    if ids.is_empty() {
        return Ok(products);
    }
    let rows = sale_products::Entity::of(business)
        .filter(sale_products::Column::SaleId.eq_any(ids))
        .order_by_asc(sale_products::Column::SaleId)
        .order_by_asc(sale_products::Column::ProductId)
        .all(transaction)
        .await?;
    for row in rows {
        products.entry(row.sale_id).or_default().push(SaleProduct {
            product_id: row.product_id,
            price: row.price,
        });
    }
    Ok(products)
}

fn ids(products: &[SaleProduct]) -> impl Iterator<Item = ProductId> {
    products.iter().map(|product| product.product_id)
}

fn audit_snapshot(
    sale: &sales::Model,
    products: &[SaleProduct],
    currency: Currency,
) -> serde_json::Value {
    let products = products.iter().map(|product| {
        json!({
            "product_id": product.product_id,
            "price": product.price.map(|price| price.to_text(currency)),
        })
    });
    json!({
        "name": sale.name,
        "kind": sale.kind,
        "opens_at": sale.opens_at,
        "closes_at": sale.closes_at,
        "limit_per_customer": sale.limit_per_customer,
        "products": products.collect::<Vec<_>>(),
    })
}
