//! Orders of the list that are marked as shipped at once, each in a transaction of its own and with its own result.

use chrono::Utc;
use domain::IdempotencyKey;
use domain::orders::{self, Fulfilment, Listed};
use entity::OrderId;
use entity::users::Role;
use pages::office::{Shipment, Shipments};
use uuid::Uuid;

use super::STAFF;
use super::order_row::{is_disputed, row_of};
use crate::access::Authenticated;
use crate::pages::here::Here;
use crate::schema::endpoint::{Endpoint, OFFICE};
use crate::schema::form::Form;
use crate::schema::next::Next;
use crate::schema::query::Query;
use crate::schema::response::{Response, see_other};
use crate::schema::text;

/// The operation that ships several orders.
pub(super) const SHIP: &str = "sendShipments";

/// The most orders at once: those of a page of the list.
const MAX_ORDERS: usize = 50;

/// The parameters of the page with the results: the orders that were shipped, the refused ones, and the list.
const SHIPPED: &str = "shipped";
const REFUSED: &str = "refused";
const BACK: &str = "back";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::action(SHIP, "/office/{business}/orders/ship", ship)
            .for_roles(STAFF)
            .same_as(&["fulfillOrder"]),
        Endpoint::page("showShipments", "/office/{business}/orders/shipped", show).for_roles(STAFF),
    ]
}

async fn ship(here: Here, caller: Authenticated, form: Form) -> Response {
    let ids = form.names_below("orders").filter_map(text::id::<OrderId>);
    let ids: Vec<OrderId> = ids.take(MAX_ORDERS).collect();
    let (mut shipped, mut refused) = (Vec::new(), Vec::new());
    for id in ids {
        let key = form.key.as_ref().and_then(|key| key_of(key, id));
        let target = here.path(&format!("/orders/{id}"));
        let render = |_: &orders::Order| see_other(&target);
        let write = caller.write(key.as_ref(), &render);
        match orders::fulfil(&here.state.database, &write, id, Fulfilment::default()).await {
            Ok(_) => shipped.push(id.to_string()),
            Err(error) => {
                tracing::info!(%error, order = %id, "an order of several was not fulfilled");
                refused.push(id.to_string());
            }
        }
    }
    let target = form_urlencoded::Serializer::new(String::new())
        .append_pair(SHIPPED, &shipped.join(","))
        .append_pair(REFUSED, &refused.join(","))
        .append_pair(BACK, form.text(BACK))
        .finish();
    Ok(here.see(&here.path(&format!("/orders/shipped?{target}")), None))
}

/// The key of one of the orders, from that of the form.
fn key_of(form: &IdempotencyKey, id: OrderId) -> Option<IdempotencyKey> {
    let name = form.key.parse::<Uuid>().ok()?;
    Some(IdempotencyKey {
        key: Uuid::new_v5(&name, id.0.as_bytes()).to_string(),
        ..form.clone()
    })
}

/// The results. The reason of a refusal is what is true now.
async fn show(here: Here) -> Response {
    let caller = here.caller()?;
    let mut query = Query::of(here.req.query_string());
    let mut ids = |name: &str| -> Vec<OrderId> {
        let text = query.take_text(name).unwrap_or_default();
        let ids = text.split(',').filter_map(text::id);
        ids.take(MAX_ORDERS).collect()
    };
    let (shipped, refused) = (ids(SHIPPED), ids(REFUSED));
    let back = query.take_text(BACK).unwrap_or_default();
    let back = Next::of(&back, OFFICE, here.slug());
    let all: Vec<OrderId> = shipped.iter().chain(&refused).copied().collect();
    let found = orders::with_ids(&here.state.database, caller, &all).await;
    let found = found.map_err(|error| here.problem(error))?;
    let (role, now) = (caller.authority.role(), Utc::now());
    let shipments = found.into_iter().map(|listed| Shipment {
        refusal: refused
            .contains(&listed.order.id)
            .then(|| why(&here, role, &listed)),
        order: row_of(listed, role, now),
    });
    here.page(&Shipments {
        frame: here.frame().await?,
        shipments: shipments.collect(),
        back: back.map_or_else(|| here.path("/orders"), |back| back.target().to_owned()),
    })
}

fn why(here: &Here, role: Role, listed: &Listed) -> String {
    match orders::check_fulfilment(role, &listed.order) {
        Err(error) => here.problem(error).detail().to_owned(),
        Ok(()) if is_disputed(&listed.order.attention()) => {
            "Its payment is disputed. Open the order to ship it all the same.".to_owned()
        }
        Ok(()) => "The service was busy. It can be shipped now.".to_owned(),
    }
}
