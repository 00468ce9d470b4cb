//! `/api/reservations`: stock held for a limited time, and positions on waitlists.

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::desk::{self, Command, Work};
use domain::stock::reservations::{self, CurrentReservation, Filter, NewReservation};
use domain::stock::{Line, MAX_LINES};
use domain::{Database, Paging, StoredResponse};
use entity::orders::PaymentMethod;
use entity::reservations::{CancelReason, Status};
use entity::users::Role;
use entity::{Currency, CustomerId, OrderId, OrderNumber, ProductId, ReservationId};
use serde::Serialize;
use utoipa::ToSchema;

use super::checkout::{self, CheckoutView};
use super::purchase::{LineRequest, Note, ReceiptView, buyer, details, receipt};
use crate::access::Authenticated;
use crate::http::listing::Listing;
use crate::schema::body::{Bare, Json, List};
use crate::schema::contact::AddressRequest;
use crate::schema::endpoint::Endpoint;
use crate::schema::metadata::NewMetadata;
use crate::schema::path::Id;
use crate::schema::problem::{Code, Problem};
use crate::schema::query::{Page, Query};
use crate::schema::response::{Response, View, accepted, created, done};
use crate::schema::text::{self, Amount, Reference, Whole};
use crate::state::State;

const EVERYONE: &[Role] = &[Role::Admin, Role::Staff, Role::Customer];

/// The default time of a hold, in seconds.
const TTL_SECONDS: i64 = 300;

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("createReservation", "/api/reservations", reserve)
            .summary("Hold stock for a limited time, or take a place on the waitlist")
            .for_roles(EVERYONE)
            .body::<ReservationRequest>()
            .created::<ReservationView>()
            .accepted::<ReservationView>()
            .codes(&[
                Code::CustomerNotFound,
                Code::ProductNotFound,
                Code::CustomerOnHold,
                Code::SaleNotOpen,
                Code::PriceChanged,
                Code::PurchaseLimitReached,
                Code::ReservationLimitReached,
                Code::HoldLimitExceeded,
                Code::InsufficientStock,
                Code::SoldOut,
                Code::AmountTooLarge,
            ])
            .idempotent(),
        Endpoint::get("listReservations", "/api/reservations", list)
            .summary("List reservations, the newest first; a customer sees their own")
            .for_roles(EVERYONE)
            .query::<Status>("status", "Only reservations with this status now.")
            .query::<CustomerId>("customer_id", "Only reservations of this customer.")
            .query::<ProductId>("product_id", "Only reservations of this product.")
            .paged()
            .ok::<Page<ReservationView>>(),
        Endpoint::get("getReservation", "/api/reservations/{reservation_id}", read)
            .summary("Read a reservation with its place; a customer may read their own")
            .for_roles(EVERYONE)
            .ok::<ReservationView>()
            .codes(&[Code::ReservationNotFound]),
        Endpoint::post(
            "confirmReservation",
            "/api/reservations/{reservation_id}/confirm",
            confirm,
        )
        .summary("Buy the held items at their reserved prices")
        .for_roles(EVERYONE)
        .body::<Confirmation>()
        .created::<ConfirmedView>()
        .codes(&[
            Code::ReservationNotFound,
            Code::ReservationExpired,
            Code::SoldOut,
            Code::InvalidTransition,
            Code::CustomerOnHold,
            Code::CustomerOverdue,
            Code::CreditLimitExceeded,
            Code::NothingToPay,
            Code::AmountTooLarge,
            Code::NoPaymentProvider,
            Code::PaymentRefused,
            Code::PaymentProviderError,
        ])
        .idempotent(),
        Endpoint::post(
            "cancelReservation",
            "/api/reservations/{reservation_id}/cancel",
            cancel,
        )
        .summary("Release the held items, or leave the waitlist")
        .for_roles(EVERYONE)
        .ok::<ReservationView>()
        .codes(&[
            Code::ReservationNotFound,
            Code::ReservationExpired,
            Code::SoldOut,
            Code::InvalidTransition,
        ])
        .idempotent(),
    ]
}

crate::body! {
    /// A new reservation.
    #[example({"ttl_seconds": 300})]
    pub(crate) struct ReservationRequest {
        /// The customer. Callers with the role `customer` reserve for themselves and may leave it out.
        customer_id: Option<CustomerId>,
        /// The products to hold. Quantities of one product are added up.
        items: List<LineRequest, 1, MAX_LINES>,
        /// Seconds that the stock is held, from the start of the hold; 300 if left out.
        ttl_seconds: Option<Whole<60, 3600>>,
        /// Whether to join the waitlist when the stock is not available; false if left out. For one product only. The
        /// wait ends after `ttl_seconds` at the latest.
        wait: Option<bool>,
    }
}

crate::body! {
    /// The confirmation of a reservation.
    pub(super) struct Confirmation {
        /// On credit or by card.
        payment_method: PaymentMethod,
        /// The buyer's own order number, as printed on documents.
        reference: Option<Reference>,
        /// A note for people, of several lines.
        note: Option<Note>,
        /// The address for the goods.
        delivery_address: Option<AddressRequest>,
        /// Keys of the business's programs.
        metadata: Option<NewMetadata>,
    }
}

/// The order that a reservation became: the purchase on credit, or the card order to pay.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    clippy::large_enum_variant,
    reason = "for the OpenAPI document only; the responses are rendered elsewhere"
)]
enum ConfirmedView {
    OnCredit(ReceiptView),
    ByCard(CheckoutView),
}

/// A reservation. Its items are what it holds or waits for; an order removes what it buys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"status": "active"}))]
pub(super) struct ReservationView {
    reservation_id: ReservationId,
    status: Status,
    customer_id: CustomerId,
    currency: Currency,
    /// The value of the items, at the prices of the time of reservation.
    total_amount: Amount,
    /// When the hold or the wait ends.
    #[serde(serialize_with = "text::time")]
    expires_at: DateTime<Utc>,
    /// The position on the waitlist, from 1; null unless the reservation waits.
    place: Option<i64>,
    /// The order that the reservation became.
    order_id: Option<OrderId>,
    /// The number of that order.
    order_number: Option<OrderNumber>,
    /// Why the reservation was cancelled; null if it is not.
    cancel_reason: Option<CancelReason>,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
    items: Vec<ReservedView>,
}

/// One product of a reservation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"quantity": 3, "unit_price": "200.00", "line_total": "600.00"}))]
struct ReservedView {
    product_id: ProductId,
    quantity: i64,
    unit_price: Amount,
    line_total: Amount,
}

impl ReservationView {
    fn of(current: &CurrentReservation, currency: Currency) -> Self {
        let reservation = &current.reservation;
        let items = reservation.items.iter().map(|item| ReservedView {
            product_id: item.product_id,
            quantity: item.quantity,
            unit_price: Amount::of(item.unit_price, currency),
            line_total: Amount::of(item.unit_price.times(item.quantity), currency),
        });
        Self {
            reservation_id: reservation.id,
            status: current.status,
            customer_id: reservation.customer_id,
            currency,
            total_amount: Amount::of(reservation.total(), currency),
            expires_at: reservation.expires_at,
            place: current.place,
            order_id: reservation.order_id,
            order_number: reservation.order_id.map(OrderNumber::of),
            cancel_reason: match current.status {
                Status::Cancelled => {
                    Some(reservation.cancel_reason.unwrap_or(CancelReason::Requested))
                }
                _ => None,
            },
            created_at: reservation.created_at,
            items: items.collect(),
        }
    }
}

async fn reserve(
    state: Data<State>,
    caller: Authenticated,
    request: Json<ReservationRequest>,
) -> Response {
    let command = Command {
        work: Work::Reserve(reservation_of(&caller, request.body)?, reserved),
        key: request.key,
        caller: caller.0.clone(),
    };
    state.sweeper.watch(caller.business_id);
    caller.answer(state.desk.execute(command).await)
}

/// The reservation that a request asks for.
pub(crate) fn reservation_of(
    caller: &Authenticated,
    body: ReservationRequest,
) -> Result<NewReservation, Problem> {
    let wait = body.wait.unwrap_or(false);
    let lines: Vec<Line> = body.items.0.into_iter().map(Line::from).collect();
    let is_first = |line: &Line| line.product_id == lines[0].product_id;
    if wait && !lines.iter().all(is_first) {
        return Err(Problem::fault(
            "/items",
            "must be of one product with `wait`",
        ));
    }
    let ttl_seconds = body.ttl_seconds.map_or(TTL_SECONDS, Whole::get);
    Ok(NewReservation {
        customer_id: buyer(caller, body.customer_id)?,
        lines,
        ttl_seconds: i32::try_from(ttl_seconds).unwrap_or(*reservations::TTL_SECONDS.end()),
        wait,
    })
}

async fn list(lists: Listing, caller: Authenticated, mut query: Query) -> Response {
    let filter = Filter {
        status: query.take("status"),
        customer_id: query.take("customer_id"),
        product_id: query.take("product_id"),
    };
    let currency = caller.currency;
    let read = async move |database: &Database, paging: &Paging<ReservationId>| {
        reservations::list(database, &caller, &filter, paging).await
    };
    let view = move |row| ReservationView::of(&row, currency);
    lists.answer(query, currency, read, view).await
}

async fn read(state: Data<State>, caller: Authenticated, id: Id<ReservationId>) -> Response {
    let current = reservations::read(&state.database, &caller, id.0).await;
    caller.answer(current.map(|current| View(ReservationView::of(&current, caller.currency))))
}

async fn confirm(
    state: Data<State>,
    caller: Authenticated,
    id: Id<ReservationId>,
    request: Json<Confirmation>,
) -> Response {
    let target = reservations::target(&state.database, &caller, id.0)
        .await
        .map_err(|error| caller.problem(error))?;
    let body = request.body;
    let confirmation = desk::Confirmation {
        reservation: target,
        details: details(
            body.reference,
            body.note,
            body.delivery_address,
            body.metadata,
        ),
    };
    if body.payment_method == PaymentMethod::Card {
        let by_card = |terms| Work::ConfirmByCard(confirmation, terms);
        return checkout::place(&state, &caller, request.key, by_card).await;
    }
    let command = Command {
        work: Work::Confirm(confirmation, receipt),
        key: request.key,
        caller: caller.0.clone(),
    };
    caller.answer(state.desk.execute(command).await)
}

async fn cancel(
    state: Data<State>,
    caller: Authenticated,
    id: Id<ReservationId>,
    request: Bare,
) -> Response {
    let target = reservations::target(&state.database, &caller, id.0)
        .await
        .map_err(|error| caller.problem(error))?;
    let command = Command {
        work: Work::Cancel(target, |current, currency| {
            done(&ReservationView::of(current, currency))
        }),
        key: request.key,
        caller: caller.0.clone(),
    };
    caller.answer(state.desk.execute(command).await)
}

fn reserved(current: &CurrentReservation, currency: Currency) -> StoredResponse {
    let view = ReservationView::of(current, currency);
    let location = format!("/api/reservations/{}", current.reservation.id);
    match current.status {
        Status::Waiting => accepted(&location, &view),
        _ => created(&location, &view),
    }
}
