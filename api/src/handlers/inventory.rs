//! `/api/inventory`: stock levels, and the movements behind them.

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::stock::inventory::{self, Correction, Line, Moved, NewCorrection, StockChange};
use domain::{Database, Paging, StoredResponse};
use entity::inventory::MAX_ON_HAND;
use entity::stock_movements::{CorrectionReason, Reason};
use entity::users::Role;
use entity::{OrderId, OrderNumber, ProductId, ReservationId, UserId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Authenticated;
use crate::http::listing::Listing;
use crate::schema::body::{Json, List};
use crate::schema::endpoint::Endpoint;
use crate::schema::faults::At;
use crate::schema::path::Id;
use crate::schema::problem::{Code, Problem};
use crate::schema::query::{Page, Query};
use crate::schema::response::{Response, View, created};
use crate::schema::text::{self, Text, Whole};
use crate::state::State;

const STAFF: &[Role] = &[Role::Admin, Role::Staff];

/// The maximum of movements in one request, equal to that of items in an order.
const MAX_LINES: usize = 500;

/// A filter: only products with fewer units than this.
type Below = Whole<1, MAX_ON_HAND>;

/// A change of a count; negative removes units.
type Difference = Whole<{ -MAX_ON_HAND }, MAX_ON_HAND>;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listStock", "/api/inventory", list)
            .summary("List the stock of every product, or of those with low stock")
            .for_roles(STAFF)
            .query::<Below>(
                "below",
                "Only products with fewer available units than this.",
            )
            .paged()
            .ok::<Page<ListedStockView>>(),
        Endpoint::get("getStock", "/api/inventory/{product_id}", read)
            .summary("Read the stock of a product")
            .for_roles(STAFF)
            .ok::<StockView>()
            .codes(&[Code::ProductNotFound]),
        Endpoint::patch("adjustStock", "/api/inventory/{product_id}", correct)
            .summary("Correct a stock level by a difference, or to a counted number")
            .for_roles(STAFF)
            .changes_catalogue()
            .body::<StockPatch>()
            .ok::<StockView>()
            .codes(&[
                Code::ProductNotFound,
                Code::InsufficientStock,
                Code::StockLimitExceeded,
                Code::CountedBelowReserved,
            ]),
        Endpoint::post("createStockMovements", "/api/inventory/movements", receive)
            .summary("Move stock of many products, all or nothing, such as a delivery")
            .for_roles(STAFF)
            .changes_catalogue()
            .body::<MovementsRequest>()
            .created::<MovementsView>()
            .codes(&[
                Code::ProductNotFound,
                Code::InsufficientStock,
                Code::StockLimitExceeded,
            ])
            .idempotent(),
        Endpoint::get(
            "listStockMovements",
            "/api/inventory/{product_id}/movements",
            movements,
        )
        .summary("List every change of a product's stock level, the newest first")
        .for_roles(STAFF)
        .paged()
        .ok::<Page<MovementView>>()
        .codes(&[Code::ProductNotFound]),
    ]
}

crate::body! {
    /// A correction of a count, with either `adjust` or `set`.
    #[example({"set": 40, "reason": "stocktake"})]
    pub(super) struct StockPatch {
        /// Units to add; negative removes units. Not 0.
        adjust: Option<Difference>,
        /// The new count.
        set: Option<Whole<0, MAX_ON_HAND>>,
        /// The kind of correction.
        reason: CorrectionReason,
        /// A remark.
        note: Option<Text<1, 500>>,
    }
}

crate::body! {
    /// Stock movements, applied in sequence: a later one may use units that an earlier one added.
    pub(super) struct MovementsRequest {
        /// The movements, in sequence.
        lines: List<MovementRequest, 1, MAX_LINES>,
    }
}

crate::body! {
    /// A stock movement.
    #[example({"quantity": 12, "reason": "received"})]
    pub(super) struct MovementRequest {
        /// The product.
        product_id: ProductId,
        /// Units to add; negative removes units. Not 0.
        quantity: Difference,
        /// The kind of correction.
        reason: CorrectionReason,
        /// A remark.
        note: Option<Text<1, 500>>,
    }
}

/// The movements that were made.
#[derive(Debug, Serialize, ToSchema)]
struct MovementsView {
    /// One per requested movement, in the same sequence.
    movements: Vec<ProductMovementView>,
}

/// A movement of a product's stock.
#[derive(Debug, Serialize, ToSchema)]
struct ProductMovementView {
    product_id: ProductId,
    #[serde(flatten)]
    movement: MovementView,
}

/// The stock of a product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"on_hand": 40, "reserved": 3, "available": 37, "waiting": 0}))]
pub(super) struct StockView {
    product_id: ProductId,
    on_hand: i64,
    /// Units held for reservations and unpaid card orders.
    reserved: i64,
    /// Units that a new buyer could buy: 0 while customers wait, otherwise on hand less reserved.
    available: i64,
    /// Customers on the waitlist.
    waiting: i64,
    #[serde(serialize_with = "text::time")]
    updated_at: DateTime<Utc>,
}

/// The stock of a product of a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"sku": "HP-200", "name": "Headphones"}))]
struct ListedStockView {
    #[serde(flatten)]
    stock: StockView,
    sku: String,
    /// The name of the product.
    name: String,
}

/// A change of a product's count.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"quantity": 12, "on_hand_after": 52, "reason": "received", "reserved": 0}))]
pub(super) struct MovementView {
    /// The movement's id; for a sale on credit, the order's id.
    id: Uuid,
    /// Units added; negative when units left the stock.
    quantity: i64,
    /// Units on hand after the movement.
    on_hand_after: i64,
    reason: MovementReason,
    note: Option<String>,
    /// The change of the reserved units; 0 for everything but a hold and its end.
    reserved: i64,
    /// The order of a sale or a return, or the order that a reservation became.
    order_id: Option<OrderId>,
    /// The number of that order.
    order_number: Option<OrderNumber>,
    /// The reservation of a hold or its end.
    reservation_id: Option<ReservationId>,
    /// The user or API key that made the movement.
    actor_id: UserId,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
}

/// Why a count changed.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum MovementReason {
    Sold,
    Received,
    Damaged,
    Lost,
    Found,
    Stocktake,
    Returned,
    Correction,
    Reserved,
    Released,
}

impl From<Option<Reason>> for MovementReason {
    fn from(reason: Option<Reason>) -> Self {
        match reason {
            None | Some(Reason::Sold) => Self::Sold,
            Some(Reason::Received) => Self::Received,
            Some(Reason::Damaged) => Self::Damaged,
            Some(Reason::Lost) => Self::Lost,
            Some(Reason::Found) => Self::Found,
            Some(Reason::Stocktake) => Self::Stocktake,
            Some(Reason::Returned) => Self::Returned,
            Some(Reason::Correction) => Self::Correction,
            Some(Reason::Reserved) => Self::Reserved,
            Some(Reason::Released) => Self::Released,
        }
    }
}

impl From<entity::inventory::Model> for StockView {
    fn from(stock: entity::inventory::Model) -> Self {
        Self {
            product_id: stock.product_id,
            on_hand: stock.on_hand,
            reserved: stock.reserved,
            available: stock.available(),
            waiting: stock.waiting,
            updated_at: stock.updated_at,
        }
    }
}

impl From<StockChange> for MovementView {
    fn from(change: StockChange) -> Self {
        Self {
            id: change.id,
            quantity: change.quantity,
            on_hand_after: change.on_hand_after,
            reason: change.reason.into(),
            note: change.note,
            reserved: change.reserved,
            order_id: change.order_id,
            order_number: change.order_id.map(OrderNumber::of),
            reservation_id: change.reservation_id,
            actor_id: change.actor_id,
            created_at: change.created_at,
        }
    }
}

async fn list(lists: Listing, caller: Authenticated, mut query: Query) -> Response {
    let below = query.take::<Below>("below").map(Whole::get);
    let currency = caller.currency;
    let read = async move |database: &Database, paging: &Paging<ProductId>| {
        inventory::list(database, &caller, below, paging).await
    };
    let view = |listed: inventory::Listed| ListedStockView {
        stock: listed.stock.into(),
        sku: listed.sku,
        name: listed.name,
    };
    lists.answer(query, currency, read, view).await
}

async fn read(state: Data<State>, caller: Authenticated, id: Id<ProductId>) -> Response {
    let stock = inventory::read(&state.database, &caller, id.0).await;
    caller.answer(stock.map(|stock| View(StockView::from(stock))))
}

async fn correct(
    state: Data<State>,
    caller: Authenticated,
    id: Id<ProductId>,
    request: Json<StockPatch>,
) -> Response {
    let body = request.body;
    let correction = match (body.adjust.map(Whole::get), body.set.map(Whole::get)) {
        (Some(0), None) => return Err(Problem::fault("/adjust", "must not be 0")),
        (Some(by), None) => Correction::Adjust(by),
        (None, Some(counted)) => Correction::Set(counted),
        _ => return Err(Problem::fault("", "must have either adjust or set")),
    };
    let new = NewCorrection {
        correction,
        reason: body.reason.into(),
        note: body.note.map(|note| note.0),
    };
    let stock = inventory::correct(&state.database, &caller, id.0, &new).await;
    caller.answer(stock.map(|stock| View(StockView::from(stock))))
}

fn lines(body: MovementsRequest) -> Result<Vec<Line>, Problem> {
    let mut at = At::new(None);
    let lines = body.lines.into_iter().enumerate().map(|(place, line)| {
        let quantity = line.quantity.get();
        if quantity == 0 {
            at.fault_at(format!("/lines/{place}/quantity"), "must not be 0");
        }
        Line {
            product_id: line.product_id,
            quantity,
            reason: line.reason,
            note: line.note.map(|note| note.0),
        }
    });
    let lines = lines.collect();
    at.finish(Some(lines))
}

/// The response to a list of movements. Its location is that of the first product's movements.
#[expect(clippy::ptr_arg, reason = "the signature of the domain's renderer")]
fn render(moved: &Vec<Moved>) -> StoredResponse {
    let location = moved.first().map_or_else(String::new, |first| {
        format!("/api/inventory/{}/movements", first.product_id)
    });
    let movements = moved.iter().map(|moved| ProductMovementView {
        product_id: moved.product_id,
        movement: moved.change.clone().into(),
    });
    let movements = movements.collect();
    created(&location, &MovementsView { movements })
}

async fn receive(
    state: Data<State>,
    caller: Authenticated,
    request: Json<MovementsRequest>,
) -> Response {
    let lines = lines(request.body)?;
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(inventory::receive(&state.database, &write, &lines).await)
}

async fn movements(
    lists: Listing,
    caller: Authenticated,
    id: Id<ProductId>,
    query: Query,
) -> Response {
    let currency = caller.currency;
    let read = async move |database: &Database, paging: &Paging<Uuid>| {
        inventory::movements(database, &caller, id.0, paging).await
    };
    lists
        .answer(query, currency, read, MovementView::from)
        .await
}
