//! `/api/products`: the catalogue.

use std::sync::Arc;

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::catalogue::product_changes;
use domain::catalogue::products::{
    self, CurrentSale, Details, Filter, NewProduct, NotForSale, Product, ProductChange,
};
use domain::{Caller, Database, Paging};
use entity::inventory::MAX_ON_HAND;
use entity::sales::{Kind, State as SaleState};
use entity::users::Role;
use entity::{Currency, Metadata, Money, ProductId, SaleId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Authenticated, Visitor};
use crate::http::entity_tag::KnownTags;
use crate::http::listing::Listing;
use crate::schema::body::{Change, Json, Replace};
use crate::schema::content_negotiation::JSON;
use crate::schema::endpoint::Endpoint;
use crate::schema::image_url::ImageUrl;
use crate::schema::metadata::{self, MetadataPatch, NewMetadata};
use crate::schema::path::Id;
use crate::schema::problem::{Code, Problem};
use crate::schema::query::{CountedPage, Query, ROWS_TO_COUNT};
use crate::schema::response::{Response, View, created, json};
use crate::schema::text::{self, Amount, Prose, Sku, Text, Whole};
use crate::state::State;

const ADMIN: &[Role] = &[Role::Admin];

/// The initial stock of a product.
type Count = Whole<0, MAX_ON_HAND>;
/// The most units of a product that one customer may ever buy.
pub(super) type PurchaseLimit = Whole<1, 1_000_000>;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listProducts", "/api/products", list)
            .summary("List products in the order in which they were added; staff also see products that are off sale")
            .public_of_business()
            .query::<Text<1, 200>>("q", "Text that the name or the number contains, in any case.")
            .query::<Sku>("sku", "The number, in any case and width.")
            .paged()
            .followed()
            .counted()
            .ok::<CountedPage<ProductView>>(),
        Endpoint::post("createProduct", "/api/products", create)
            .summary("Add a product with its first stock")
            .for_roles(ADMIN)
            .body::<ProductRequest>()
            .created::<ProductView>()
            .codes(&[Code::AlreadyExists])
            .changes_catalogue()
            .idempotent(),
        Endpoint::get("getProduct", "/api/products/{product_id}", read)
            .summary("Read a product")
            .public_of_business()
            .ok::<ProductView>()
            .codes(&[Code::ProductNotFound]),
        Endpoint::put("replaceProduct", "/api/products/{product_id}", replace)
            .summary("Replace the catalogue data of a product; stock changes in the inventory")
            .for_roles(ADMIN)
            .changes_catalogue()
            .body::<ProductDetails>()
            .ok::<ProductView>()
            .codes(&[Code::ProductNotFound, Code::AlreadyExists]),
        Endpoint::patch("updateProduct", "/api/products/{product_id}", change)
            .summary("Change the catalogue data of a product; stock changes in the inventory")
            .for_roles(ADMIN)
            .changes_catalogue()
            .body::<ProductPatch>()
            .ok::<ProductView>()
            .codes(&[Code::ProductNotFound, Code::AlreadyExists]),
    ]
}

crate::body! {
    /// A new product.
    #[example({"sku": "HP-200", "name": "Headphones", "price": "200.00", "stock": 40})]
    pub(super) struct ProductRequest {
        /// The SKU, unique in the business. Case and character width are ignored.
        sku: Sku,
        /// The product's name.
        name: Text<1, 200>,
        /// A longer description.
        description: Option<Prose<0, 5000>>,
        /// The price of one unit.
        price: Money,
        /// The initial units on hand; 0 if left out.
        stock: Option<Count>,
        /// The most units that one customer may ever buy; no limit if left out.
        limit_per_customer: Option<PurchaseLimit>,
        /// Whether the product is on sale; true if left out.
        active: Option<bool>,
        /// Keys of the business's programs.
        metadata: Option<NewMetadata>,
        /// A picture at another server, for other shop fronts. The pages of the store show the uploaded one.
        image_url: Option<ImageUrl>,
    }
}

crate::body! {
    /// All catalogue attributes of a product. Members that are left out take their default.
    #[example({"sku": "HP-200", "name": "Headphones", "price": "200.00"})]
    pub(super) struct ProductDetails {
        /// The SKU, unique in the business. Case and character width are ignored.
        sku: Sku,
        /// The product's name.
        name: Text<1, 200>,
        /// A longer description; none if left out.
        description: Option<Prose<0, 5000>>,
        /// The price of one unit.
        price: Money,
        /// The most units that one customer may ever buy; no limit if left out.
        limit_per_customer: Option<PurchaseLimit>,
        /// Whether the product is on sale; true if left out.
        active: Option<bool>,
        /// Keys of the business's programs; none if left out.
        metadata: Option<NewMetadata>,
        /// A picture at another server; none if left out.
        image_url: Option<ImageUrl>,
    }
}

crate::body! {
    /// Changes to a product. Members that are left out keep their value.
    #[example({"price": "180.00"})]
    pub(super) struct ProductPatch {
        /// The SKU, unique in the business. Case and character width are ignored.
        sku: Replace<Sku>,
        /// The product's name.
        name: Replace<Text<1, 200>>,
        /// A longer description; null removes it.
        description: Change<Prose<0, 5000>>,
        /// The price of one unit.
        price: Replace<Money>,
        /// The most units that one customer may ever buy; null removes the limit.
        limit_per_customer: Change<PurchaseLimit>,
        /// Whether the product is on sale.
        active: Replace<bool>,
        /// Keys that change. Null or an empty text removes a key; null in place of the object removes all.
        metadata: Change<MetadataPatch>,
        /// A picture at another server; null removes it.
        image_url: Change<ImageUrl>,
    }
}

/// A product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "sku": "HP-200", "name": "Headphones", "price": "200.00", "list_price": "200.00", "available": 40, "active": true,
    "metadata": {},
}))]
pub(super) struct ProductView {
    id: ProductId,
    sku: String,
    name: String,
    description: Option<String>,
    currency: Currency,
    /// The caller's price of one unit now; the list price if the product is not for sale.
    price: Amount,
    /// The price of one unit outside sales.
    list_price: Amount,
    /// Units that a new buyer could buy: 0 while customers wait, otherwise on hand less reserved.
    available: i64,
    limit_per_customer: Option<i32>,
    active: bool,
    /// Keys of the business's programs.
    metadata: Metadata,
    /// A picture at another server, as the business gave it.
    image_url: Option<String>,
    /// The uploaded picture; null without one.
    picture: Option<PictureView>,
    /// The cheapest open sale that still applies to the caller, or else the next to open; null if there is neither.
    sale: Option<ProductSaleView>,
    /// Why the product cannot be bought, whatever is available; null if it can.
    not_for_sale: Option<NotForSaleView>,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "text::time")]
    updated_at: DateTime<Utc>,
}

/// The uploaded picture of a product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "url": "/api/products/650e8400-e29b-41d4-a716-446655440001/picture\
            ?business=550e8400-e29b-41d4-a716-446655440099&version=0190a5d4-7b1c-7000-8000-000000000001",
    "width": 960, "height": 720,
}))]
struct PictureView {
    /// Its address on this server, which everyone may read. `&size=320` or `&size=96` makes it smaller.
    url: String,
    /// The width in pixels.
    width: i32,
    /// The height in pixels.
    height: i32,
}

/// A sale, as it applies to one of its products.
#[derive(Debug, Serialize, ToSchema)]
struct ProductSaleView {
    sale_id: SaleId,
    name: String,
    kind: Kind,
    state: SaleState,
    /// The price of one unit in the sale.
    price: Amount,
    #[serde(serialize_with = "text::time")]
    opens_at: DateTime<Utc>,
    #[serde(serialize_with = "text::time")]
    closes_at: DateTime<Utc>,
    /// The most units that one customer may buy and hold in the sale; null is no limit.
    limit_per_customer: Option<i32>,
}

/// Why a product cannot be bought.
#[derive(Debug, Serialize, ToSchema)]
struct NotForSaleView {
    reason: NotForSaleReason,
    /// When the exclusive sale opens or opened.
    #[serde(serialize_with = "text::optional_time")]
    opens_at: Option<DateTime<Utc>>,
    /// When the exclusive sale closes or closed.
    #[serde(serialize_with = "text::optional_time")]
    closes_at: Option<DateTime<Utc>>,
}

/// The kind of reason.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum NotForSaleReason {
    /// The product was taken off sale.
    Inactive,
    /// The product is sold in an exclusive sale that has not opened yet.
    NotYetOpen,
    /// The product was sold in an exclusive sale that is over.
    Closed,
}

impl From<NotForSale> for NotForSaleView {
    fn from(why: NotForSale) -> Self {
        match why {
            NotForSale::Inactive => Self {
                reason: NotForSaleReason::Inactive,
                opens_at: None,
                closes_at: None,
            },
            NotForSale::NotInSale {
                upcoming,
                opens_at,
                closes_at,
            } => Self {
                reason: if upcoming {
                    NotForSaleReason::NotYetOpen
                } else {
                    NotForSaleReason::Closed
                },
                opens_at: Some(opens_at),
                closes_at: Some(closes_at),
            },
        }
    }
}

impl ProductSaleView {
    fn of(sale: &CurrentSale, product: &Product, currency: Currency) -> Self {
        let offer = &sale.offer;
        Self {
            sale_id: offer.sale_id,
            name: offer.name.clone(),
            kind: offer.kind,
            state: sale.state,
            price: Amount::of(offer.price(product.product.price), currency),
            opens_at: offer.opens_at,
            closes_at: offer.closes_at,
            limit_per_customer: offer.limit_per_customer,
        }
    }
}

impl PictureView {
    fn of(product: &entity::products::Model) -> Option<Self> {
        let picture = product.picture()?;
        let (id, business, version) = (product.id, product.business_id, picture.id);
        Some(Self {
            url: format!("/api/products/{id}/picture?business={business}&version={version}"),
            width: picture.width,
            height: picture.height,
        })
    }
}

impl ProductView {
    pub(super) fn of(view: &Product, reader: Option<&Caller>, currency: Currency) -> Self {
        let product = &view.product;
        Self {
            id: product.id,
            sku: product.sku.clone(),
            name: product.name.clone(),
            description: product.description.clone(),
            currency,
            price: Amount::of(view.price, currency),
            list_price: Amount::of(product.price, currency),
            available: view.available,
            limit_per_customer: product.limit_per_customer,
            active: product.active,
            metadata: metadata::shown(product.metadata.as_ref(), reader),
            image_url: product.image_url.clone(),
            picture: PictureView::of(product),
            sale: view
                .sale
                .as_ref()
                .map(|sale| ProductSaleView::of(sale, view, currency)),
            not_for_sale: view.not_for_sale.map(NotForSaleView::from),
            created_at: product.created_at,
            updated_at: product.updated_at,
        }
    }
}

/// Whether the visitor sees inactive products: staff and admins do, buyers do not.
pub(crate) fn sees_inactive(visitor: &Visitor) -> bool {
    visitor
        .caller
        .as_ref()
        .is_some_and(|caller| caller.confined_to().is_none())
}

/// The filter of products that the visitor sees, at the visitor's prices.
pub(crate) fn reader(visitor: &Visitor) -> Filter {
    Filter {
        inactive_too: sees_inactive(visitor),
        buyer: visitor.caller.as_ref().and_then(Caller::confined_to),
        ..Filter::default()
    }
}

async fn list(
    state: Data<State>,
    lists: Listing,
    known: KnownTags,
    visitor: Visitor,
    mut query: Query,
) -> Response {
    if let Some(following) = lists.following(&mut query) {
        query.finish()?;
        let (business, reader) = (visitor.business_id, reader(&visitor));
        let changes =
            product_changes::list_changes(lists.database(), business, &reader, &following).await;
        return visitor.answer(changes.map(|page| {
            lists.changes(page, |row| {
                ProductView::of(&row, visitor.caller.as_ref(), visitor.currency)
            })
        }));
    }
    let filter = Filter {
        search: query.take::<Text<1, 200>>("q").map(|text| text.0),
        sku: query.take::<Sku>("sku").map(|text| text.0),
        ..reader(&visitor)
    };
    let (business, currency) = (visitor.business_id, visitor.currency);
    let counted = filter.clone();
    let count = async move |database: &Database| {
        products::count(database, business, &counted, ROWS_TO_COUNT).await
    };
    let (catalogue, is_page) = (Arc::clone(&state.catalogue), lists.is_page());
    let read = async move |database: &Database, paging: &Paging<ProductId>| match is_page {
        true => catalogue.list(database, business, &filter, paging).await,
        false => products::list(database, business, &filter, paging).await,
    };
    let view = move |row| ProductView::of(&row, visitor.caller.as_ref(), currency);
    lists
        .counted(count)
        .tagged(known)
        .answer(query, currency, read, view)
        .await
}

async fn read(
    state: Data<State>,
    known: KnownTags,
    visitor: Visitor,
    id: Id<ProductId>,
) -> Response {
    let (business, reader) = (visitor.business_id, reader(&visitor));
    let product = state
        .catalogue
        .product(&state.database, business, id.0, &reader);
    let product = product.await.map_err(|error| visitor.problem(error))?;
    let view = ProductView::of(&product, visitor.caller.as_ref(), visitor.currency);
    Ok(known.answer(JSON, json(&view)))
}

async fn create(
    state: Data<State>,
    caller: Authenticated,
    request: Json<ProductRequest>,
) -> Response {
    let body = request.body;
    let new = NewProduct {
        details: Details {
            sku: body.sku.0,
            name: body.name.0,
            description: body.description.map(|text| text.0),
            price: body.price,
            limit_per_customer: body.limit_per_customer.and_then(limit),
            active: body.active.unwrap_or(true),
            metadata: NewMetadata::stored(body.metadata),
            image_url: loadable(&state, body.image_url)?,
        },
        stock: body.stock.map_or(0, Whole::get),
    };
    let render = |product: &Product| {
        created(
            &format!("/api/products/{}", product.product.id),
            &ProductView::of(product, Some(&caller), caller.currency),
        )
    };
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(products::create(&state.database, &write, &new).await)
}

async fn replace(
    state: Data<State>,
    caller: Authenticated,
    id: Id<ProductId>,
    request: Json<ProductDetails>,
) -> Response {
    let body = request.body;
    let details = Details {
        sku: body.sku.0,
        name: body.name.0,
        description: body.description.map(|text| text.0),
        price: body.price,
        limit_per_customer: body.limit_per_customer.and_then(limit),
        active: body.active.unwrap_or(true),
        metadata: NewMetadata::stored(body.metadata),
        image_url: loadable(&state, body.image_url)?,
    };
    apply(&state, &caller, id.0, &details.into()).await
}

async fn change(
    state: Data<State>,
    caller: Authenticated,
    id: Id<ProductId>,
    request: Json<ProductPatch>,
) -> Response {
    let body = request.body;
    let image_url = body.image_url.changed(|url| url);
    let image_url = image_url.map(|url| loadable(&state, url)).transpose()?;
    let change = ProductChange {
        image_url,
        sku: body.sku.value().map(|sku| sku.0),
        name: body.name.value().map(|name| name.0),
        description: body.description.changed(|text| text.0),
        price: body.price.value(),
        limit_per_customer: body.limit_per_customer.changed(limit).map(Option::flatten),
        active: body.active.value(),
        metadata: body.metadata.into(),
    };
    apply(&state, &caller, id.0, &change).await
}

async fn apply(
    state: &State,
    caller: &Authenticated,
    id: ProductId,
    change: &ProductChange,
) -> Response {
    let product = products::change(&state.database, caller, id, change).await;
    caller.answer(
        product.map(|product| View(ProductView::of(&product, Some(caller), caller.currency))),
    )
}

/// The URL, if pages of this site could load it.
fn loadable(state: &State, url: Option<ImageUrl>) -> Result<Option<String>, Problem> {
    let fault = url
        .as_ref()
        .and_then(|url| url.fault_at(state.site.is_https()));
    match fault {
        Some(fault) => Err(Problem::fault("/image_url", fault)),
        None => Ok(url.map(|url| url.0)),
    }
}

pub(super) fn limit(most: PurchaseLimit) -> Option<i32> {
    most.get().try_into().ok()
}
