//! The visitor's own holds and places on waitlists: the open one of a product, and the page of all.

use std::collections::HashMap;

use chrono::Utc;
use domain::Paging;
use domain::catalogue::products::{self, Product};
use domain::stock::reservations::{self, CurrentReservation, Filter, MAX_OPEN_PER_CUSTOMER};
use entity::reservations::Status;
use entity::users::Role;
use entity::{OrderNumber, ProductId, ReservationId};
use pages::shop::{ReservationRow, Reservations};

use crate::handlers::products::reader;
use crate::pages::here::Here;
use crate::schema::endpoint::Endpoint;
use crate::schema::problem::Problem;
use crate::schema::query::{Cursor, Query};
use crate::schema::response::Response;

/// The reservations of a page, before the open ones are left out.
const PAGE: u64 = 50;

/// The reservations of a product that are read to find an open one.
const RECENT: u64 = 5;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::page("showReservations", "/shop/{business}/reservations", list)
            .for_roles(&[Role::Customer]),
    ]
}

/// The address of the visitor's open reservation of a product; `None` if there is none.
pub(super) async fn open_one(here: &Here, product: ProductId) -> Result<Option<String>, Problem> {
    let caller = here.visit.caller.as_ref();
    let Some(caller) = caller.filter(|caller| caller.confined_to().is_some()) else {
        return Ok(None);
    };
    let filter = Filter {
        product_id: Some(product),
        ..Filter::default()
    };
    let paging = Paging {
        limit: RECENT,
        after: None,
    };
    let found = reservations::list(&here.state.database, caller, &filter, &paging).await;
    let found = found.map_err(|error| here.problem(error))?;
    let open = found.rows.iter().find(|row| is_open(row.status));
    Ok(open.map(|row| here.path(&format!("/reservations/{}", row.reservation.id))))
}

fn is_open(status: Status) -> bool {
    matches!(status, Status::Active | Status::Waiting)
}

async fn list(here: Here) -> Response {
    let mut query = Query::of(here.req.query_string()).without_empty();
    let after = query.take::<Cursor<ReservationId>>("cursor");
    let fault = query.fault_of_page();
    let is_first = after.is_none();
    let open = match is_first {
        true => open_ones(&here).await?,
        false => Vec::new(),
    };
    let paging = Paging {
        limit: PAGE,
        after: after.map(|cursor| cursor.0),
    };
    let database = &here.state.database;
    let found = reservations::list(database, here.caller()?, &Filter::default(), &paging).await;
    let mut found = found.map_err(|error| here.problem(error))?;
    found.rows.retain(|row| !is_open(row.status));
    let names = names(&here, open.iter().chain(&found.rows)).await?;
    let rows = |rows: &[CurrentReservation]| rows.iter().map(|row| row_of(row, &names)).collect();
    let address = here.path("/reservations");
    here.page(&Reservations {
        layout: here.layout().await?,
        open: rows(&open),
        past: rows(&found.rows),
        fault,
        first: (!is_first).then(|| address.clone()),
        next: found
            .next
            .map(|key| format!("{address}?cursor={}", Cursor(key).encode())),
    })
}

/// The visitor's open reservations, the newest first. One page has them all.
async fn open_ones(here: &Here) -> Result<Vec<CurrentReservation>, Problem> {
    let paging = Paging {
        limit: MAX_OPEN_PER_CUSTOMER as u64,
        after: None,
    };
    let mut open = Vec::new();
    for status in [Status::Active, Status::Waiting] {
        let filter = Filter {
            status: Some(status),
            ..Filter::default()
        };
        let found = reservations::list(&here.state.database, here.caller()?, &filter, &paging);
        open.extend(found.await.map_err(|error| here.problem(error))?.rows);
    }
    Ok(open)
}

/// The products of these reservations. Those that the visitor may no longer see are left out.
async fn names(
    here: &Here,
    rows: impl Iterator<Item = &CurrentReservation>,
) -> Result<HashMap<ProductId, Product>, Problem> {
    let items = rows.flat_map(|row| &row.reservation.items);
    let mut ids: Vec<ProductId> = items.map(|item| item.product_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let (database, business) = (&here.state.database, here.visit.business.id);
    let found = products::read_several(database, business, &ids, &reader(&here.visitor)).await;
    found.map_err(|error| here.problem(error))
}

fn row_of(current: &CurrentReservation, products: &HashMap<ProductId, Product>) -> ReservationRow {
    let reservation = &current.reservation;
    let name = |id: &ProductId| {
        let product = products.get(id).map(|product| product.product.name.clone());
        product.unwrap_or_else(|| "a product that is no longer sold".to_owned())
    };
    let items = reservation.items.iter();
    ReservationRow {
        id: reservation.id,
        status: current.status,
        created_at: reservation.created_at,
        products: items
            .map(|item| (item.quantity, name(&item.product_id)))
            .collect(),
        total: reservation.total(),
        place: current.place,
        seconds_left: (reservation.expires_at - Utc::now()).num_seconds(),
        order: reservation
            .order_id
            .map(|id| (id, OrderNumber::of(id).to_string())),
    }
}
