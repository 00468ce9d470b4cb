//! The catalogue and the pages of its products.

use chrono::{DateTime, Utc};
use domain::catalogue::products::{CurrentSale, Filter, NotForSale, Product};
use entity::sales::{Kind, State as SaleState};
use entity::{Money, ProductId};
use pages::shop::{self, Catalogue, ProductPage};

use crate::handlers::products::reader;
use crate::pages::here::{Here, fresh};
use crate::pages::shop::{held, pictures, stock};
use crate::schema::endpoint::Endpoint;
use crate::schema::path::Id;
use crate::schema::problem::{Code, Problem};
use crate::schema::query::{Cursor, Query};
use crate::schema::response::Response;
use crate::schema::text::Text;

/// The products of a page: rows of 2, 3 and 4 are full.
const PAGE: u64 = 48;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::page("showCatalogue", "/shop/{business}", list).public_of_business(),
        Endpoint::page(
            "showProduct",
            "/shop/{business}/products/{product_id}",
            read,
        )
        .public_of_business()
        .codes(&[Code::ProductNotFound]),
    ]
}

async fn list(here: Here) -> Response {
    let mut query = Query::of(here.req.query_string()).without_empty();
    let q = query.take::<Text<1, 200>>("q").map(|text| text.0);
    let cursor = query.take::<Cursor<ProductId>>("cursor");
    let fault = query.fault_of_page();
    let filter = Filter {
        search: q.clone(),
        ..reader(&here.visitor)
    };
    let paging = domain::Paging {
        limit: PAGE,
        after: cursor.as_ref().map(|cursor| cursor.0),
    };
    let business = here.visit.business.id;
    let (catalogue, database) = (&here.state.catalogue, &here.state.database);
    let found = catalogue.list(database, business, &filter, &paging).await;
    let found = found.map_err(|error| here.problem(error))?;
    let now = Utc::now();
    let ids: Vec<ProductId> = found.rows.iter().map(|row| row.product.id).collect();
    let next = found.next.map(|key| Cursor(key).encode());
    let q = q.unwrap_or_default();
    let layout = here.layout().await?;
    let page = Catalogue {
        layout: pages::Layout {
            search: q.clone(),
            ..layout
        },
        products: found
            .rows
            .iter()
            .map(|row| shown(&here, row, now))
            .collect(),
        fault,
        sorts: Vec::new(),
        filters: Vec::new(),
        first: cursor.map(|_| address(&here, &q, None)),
        next: next.map(|cursor| address(&here, &q, Some(&cursor))),
        stream: stock::address(&here, &ids),
        q,
    };
    here.tagged_page(&page)
}

/// The address of a page of the catalogue.
fn address(here: &Here, q: &str, cursor: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if !q.is_empty() {
        query.append_pair("q", q);
    }
    if let Some(cursor) = cursor {
        query.append_pair("cursor", cursor);
    }
    match query.finish() {
        query if query.is_empty() => here.path(""),
        query => format!("{}?{query}", here.path("")),
    }
}

async fn read(here: Here, id: Id<ProductId>) -> Response {
    let page = product_page(&here, id.0, fresh()).await?;
    match page.can_hold {
        // The form has a new key each time.
        true => here.page(&page),
        false => here.tagged_page(&page),
    }
}

/// The page of a product, with the state of its form.
pub(super) async fn product_page(
    here: &Here,
    id: ProductId,
    form: pages::Form,
) -> Result<ProductPage, Problem> {
    let (business, reader) = (here.visit.business.id, reader(&here.visitor));
    let (catalogue, database) = (&here.state.catalogue, &here.state.database);
    let product = catalogue.product(database, business, id, &reader).await;
    let product = product.map_err(|error| here.problem(error))?;
    Ok(ProductPage {
        layout: here.layout().await?,
        product: shown(here, &product, Utc::now()),
        form,
        can_hold: here.confined_to().is_some(),
        reservation: held::open_one(here, id).await?,
        stream: stock::address(here, &[id]),
    })
}

/// A product as a page shows it.
pub(super) fn shown(here: &Here, view: &Product, now: DateTime<Utc>) -> shop::Product {
    let product = &view.product;
    shop::Product {
        id: product.id,
        sku: product.sku.clone(),
        name: product.name.clone(),
        description: product.description.clone(),
        picture: product.picture().map(|one| pictures::shown(here, one)),
        price: view.price,
        list_price: product.price,
        available: view.available,
        waiting: view.waiting,
        limit_per_customer: product.limit_per_customer,
        sale: view
            .sale
            .as_ref()
            .map(|sale| sale_of(sale, product.price, now)),
        not_for_sale: view.not_for_sale.map(|reason| match reason {
            NotForSale::Inactive => shop::NotForSale::Inactive,
            NotForSale::NotInSale {
                upcoming: true,
                opens_at,
                ..
            } => shop::NotForSale::NotYetOpen(opens_at),
            NotForSale::NotInSale { closes_at, .. } => shop::NotForSale::Closed(closes_at),
        }),
    }
}

fn sale_of(sale: &CurrentSale, list_price: Money, now: DateTime<Utc>) -> shop::Sale {
    let offer = &sale.offer;
    let (state, until) = match sale.state {
        SaleState::Upcoming => (shop::SaleState::Upcoming, offer.opens_at),
        SaleState::Open => (shop::SaleState::Open, offer.closes_at),
        SaleState::Closed => (shop::SaleState::Closed, offer.closes_at),
    };
    shop::Sale {
        name: offer.name.clone(),
        is_exclusive: offer.kind == Kind::Exclusive,
        state,
        opens_at: offer.opens_at,
        closes_at: offer.closes_at,
        seconds_left: (until - now).num_seconds(),
        price: offer.price(list_price),
        limit_per_customer: offer.limit_per_customer,
    }
}
