//! `/api/sales`: timed sales, with lower prices or with products that are sold at no other time.

use std::collections::HashSet;

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::catalogue::sales::{self, NewSale, Sale, SaleChange, SaleProduct};
use domain::{Database, Paging};
use entity::sales::{Kind, State as SaleState};
use entity::users::Role;
use entity::{Currency, Money, ProductId, SaleId};
use serde::Serialize;
use utoipa::ToSchema;

use super::products::{PurchaseLimit, limit};
use crate::access::{Authenticated, Visitor};
use crate::http::listing::Listing;
use crate::schema::body::{Change, Json, List, Replace};
use crate::schema::endpoint::Endpoint;
use crate::schema::faults::At;
use crate::schema::path::Id;
use crate::schema::problem::{Code, Problem};
use crate::schema::query::{Page, Query};
use crate::schema::response::{Response, View, created};
use crate::schema::text::{self, Amount, Text};
use crate::state::State;

const ADMIN: &[Role] = &[Role::Admin];

/// The maximum of products in a sale, equal to that of items in an order.
const MAX_PRODUCTS: usize = 500;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listSales", "/api/sales", list)
            .summary("List sales, the newest first")
            .public_of_business()
            .paged()
            .ok::<Page<SaleView>>(),
        Endpoint::post("createSale", "/api/sales", create)
            .summary("Create a sale: a discount between two times, or the only time at which its products are sold")
            .for_roles(ADMIN)
            .body::<SaleRequest>()
            .created::<SaleView>()
            .codes(&[Code::ProductNotFound, Code::SalePriceAboveListPrice])
            .changes_catalogue()
            .idempotent(),
        Endpoint::get("getSale", "/api/sales/{sale_id}", read)
            .summary("Read a sale")
            .public_of_business()
            .ok::<SaleView>()
            .codes(&[Code::NotFound]),
        Endpoint::patch("updateSale", "/api/sales/{sale_id}", change)
            .summary("Change a sale and its products")
            .for_roles(ADMIN)
            .changes_catalogue()
            .body::<SalePatch>()
            .ok::<SaleView>()
            .codes(&[
                Code::NotFound,
                Code::ProductNotFound,
                Code::SalePriceAboveListPrice,
            ]),
    ]
}

crate::body! {
    /// A new sale.
    #[example({"name": "Winter sale", "opens_at": "2026-01-31T12:00:00Z", "closes_at": "2026-02-07T12:00:00Z"})]
    pub(super) struct SaleRequest {
        /// The sale's name.
        name: Text<1, 200>,
        /// The rule outside the window: with `discount` the list price, with `exclusive` the products are not sold;
        /// `discount` if left out.
        kind: Option<Kind>,
        /// The products of the sale, each at most once.
        products: List<SaleProductRequest, 1, MAX_PRODUCTS>,
        /// When the sale opens.
        opens_at: DateTime<Utc>,
        /// When the sale closes, after it opens.
        closes_at: DateTime<Utc>,
        /// The most units of each product that one customer may buy and hold in the sale; no limit if left out.
        limit_per_customer: Option<PurchaseLimit>,
    }
}

crate::body! {
    /// A product of a sale.
    #[example({"price": "150.00"})]
    pub(super) struct SaleProductRequest {
        /// The product.
        product_id: ProductId,
        /// The price while the sale is open, at most the list price; the list price if left out.
        price: Option<Money>,
    }
}

crate::body! {
    /// Changes to a sale. Members that are left out keep their value.
    #[example({"closes_at": "2026-02-08T12:00:00Z"})]
    pub(super) struct SalePatch {
        /// The sale's name.
        name: Replace<Text<1, 200>>,
        /// The rule outside the window.
        kind: Replace<Kind>,
        /// The products from now on, each at most once. An empty list ends the sale's effect on all products.
        products: Replace<List<SaleProductRequest, 0, MAX_PRODUCTS>>,
        /// When the sale opens.
        opens_at: Replace<DateTime<Utc>>,
        /// When the sale closes, after it opens.
        closes_at: Replace<DateTime<Utc>>,
        /// The most units of each product that one customer may buy and hold in the sale; null removes the limit.
        limit_per_customer: Change<PurchaseLimit>,
    }
}

/// A sale.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "name": "Winter sale", "state": "upcoming", "opens_at": "2026-01-31T12:00:00Z",
    "closes_at": "2026-02-07T12:00:00Z",
}))]
struct SaleView {
    sale_id: SaleId,
    name: String,
    kind: Kind,
    state: SaleState,
    currency: Currency,
    products: Vec<SaleProductView>,
    #[serde(serialize_with = "text::time")]
    opens_at: DateTime<Utc>,
    #[serde(serialize_with = "text::time")]
    closes_at: DateTime<Utc>,
    /// The most units of each product that one customer may buy and hold in the sale; null is no limit.
    limit_per_customer: Option<i32>,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "text::time")]
    updated_at: DateTime<Utc>,
}

/// A product of a sale.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"price": "150.00"}))]
struct SaleProductView {
    product_id: ProductId,
    /// The price in the sale; null is the list price.
    price: Option<Amount>,
}

impl SaleView {
    fn of(view: &Sale, currency: Currency) -> Self {
        let sale = &view.sale;
        let products = view.products.iter().map(|product| SaleProductView {
            product_id: product.product_id,
            price: product.price.map(|price| Amount::of(price, currency)),
        });
        Self {
            sale_id: sale.id,
            name: sale.name.clone(),
            kind: sale.kind,
            state: view.state,
            currency,
            products: products.collect(),
            opens_at: sale.opens_at,
            closes_at: sale.closes_at,
            limit_per_customer: sale.limit_per_customer,
            created_at: sale.created_at,
            updated_at: sale.updated_at,
        }
    }
}

/// The products of a request. A product named twice is a fault.
fn products<const MIN: usize>(
    list: List<SaleProductRequest, MIN, MAX_PRODUCTS>,
    at: &mut At,
) -> Vec<SaleProduct> {
    let mut seen = HashSet::new();
    let products = list.into_iter().enumerate().map(|(place, line)| {
        if !seen.insert(line.product_id) {
            let pointer = format!("/products/{place}/product_id");
            at.fault_at(pointer, "must not name a product twice");
        }
        SaleProduct {
            product_id: line.product_id,
            price: line.price,
        }
    });
    products.collect()
}

fn new(body: SaleRequest) -> Result<NewSale, Problem> {
    let mut at = At::new(None);
    let products = products(body.products, &mut at);
    if body.opens_at >= body.closes_at {
        at.fault_at("/closes_at", "must be later than opens_at");
    }
    at.finish(Some(NewSale {
        name: body.name.0,
        kind: body.kind.unwrap_or(Kind::Discount),
        products,
        opens_at: body.opens_at,
        closes_at: body.closes_at,
        limit_per_customer: body.limit_per_customer.and_then(limit),
    }))
}

async fn create(state: Data<State>, caller: Authenticated, request: Json<SaleRequest>) -> Response {
    let new = new(request.body)?;
    let render = |sale: &Sale| {
        created(
            &format!("/api/sales/{}", sale.sale.id),
            &SaleView::of(sale, caller.currency),
        )
    };
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(sales::create(&state.database, &write, &new).await)
}

async fn change(
    state: Data<State>,
    caller: Authenticated,
    id: Id<SaleId>,
    request: Json<SalePatch>,
) -> Response {
    let body = request.body;
    let mut at = At::new(None);
    let products = body.products.value().map(|list| products(list, &mut at));
    let change = at.finish(Some(SaleChange {
        name: body.name.value().map(|name| name.0),
        kind: body.kind.value(),
        products,
        opens_at: body.opens_at.value(),
        closes_at: body.closes_at.value(),
        limit_per_customer: body.limit_per_customer.changed(limit).map(Option::flatten),
    }))?;
    let sale = sales::change(&state.database, &caller, id.0, &change).await;
    caller.answer(sale.map(|sale| View(SaleView::of(&sale, caller.currency))))
}

async fn read(state: Data<State>, visitor: Visitor, id: Id<SaleId>) -> Response {
    let sale = sales::read(&state.database, visitor.business_id, id.0).await;
    visitor.answer(sale.map(|sale| View(SaleView::of(&sale, visitor.currency))))
}

async fn list(lists: Listing, visitor: Visitor, query: Query) -> Response {
    let (business, currency) = (visitor.business_id, visitor.currency);
    let read = async move |database: &Database, paging: &Paging<SaleId>| {
        sales::list(database, business, paging).await
    };
    let view = move |sale| SaleView::of(&sale, currency);
    lists.answer(query, currency, read, view).await
}
