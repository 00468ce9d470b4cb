//! `POST /api/orders/checkout`: a card order. The desk places the order; then, outside of any transaction, the payment
//! provider creates the intent with which the buyer's page pays.

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::card;
use domain::card::checkout::{Checkout, Terms};
use domain::desk::purchase::Purchase;
use domain::desk::{Command, Executed, Work};
use domain::stock::{Line, MAX_LINES};
use domain::{IdempotencyKey, Outcome, StoredResponse};
use entity::orders::Status;
use entity::users::Role;
use entity::{Currency, CustomerId, OrderId, OrderNumber};
use serde::Serialize;
use utoipa::ToSchema;

use super::purchase::{LineRequest, Note, buyer, details};
use crate::access::Authenticated;
use crate::schema::body::{Json, List};
use crate::schema::contact::AddressRequest;
use crate::schema::endpoint::Endpoint;
use crate::schema::metadata::NewMetadata;
use crate::schema::problem::{Code, Problem};
use crate::schema::response::{Answer, Response, created};
use crate::schema::text::{self, Amount, Reference};
use crate::state::State;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("createCheckout", "/api/orders/checkout", order)
            .summary("Order by card: the stock is held until the order is paid or its time expires")
            .for_roles(&[Role::Admin, Role::Staff, Role::Customer])
            .body::<CheckoutRequest>()
            .created::<CheckoutView>()
            .codes(&[
                Code::CustomerNotFound,
                Code::ProductNotFound,
                Code::CustomerOnHold,
                Code::SaleNotOpen,
                Code::PriceChanged,
                Code::PricesDiffer,
                Code::HoldLimitExceeded,
                Code::PurchaseLimitReached,
                Code::InsufficientStock,
                Code::InvalidTransition,
                Code::NothingToPay,
                Code::AmountTooLarge,
                Code::NoPaymentProvider,
                Code::PaymentRefused,
                Code::PaymentProviderError,
            ])
            .idempotent(),
    ]
}

crate::body! {
    /// A card order.
    pub(super) struct CheckoutRequest {
        /// The customer who orders. Callers with the role `customer` order for themselves and may leave it out.
        customer_id: Option<CustomerId>,
        /// The products ordered. Quantities of one product are added up.
        items: List<LineRequest, 1, MAX_LINES>,
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

/// A card order that can be paid.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"status": "payment_pending", "client_secret": "pi_3q27w_secret_5x"}))]
pub(super) struct CheckoutView {
    order_id: OrderId,
    number: OrderNumber,
    /// The buyer's own order number.
    reference: Option<String>,
    status: Status,
    total_amount: Amount,
    currency: Currency,
    /// The secret with which the buyer's page pays, through the payment provider's own library.
    client_secret: String,
    /// When the time to pay ends. The stock is held until then.
    #[serde(serialize_with = "text::time")]
    expires_at: DateTime<Utc>,
}

async fn order(
    state: Data<State>,
    caller: Authenticated,
    request: Json<CheckoutRequest>,
) -> Response {
    let body = request.body;
    let purchase = Purchase {
        customer_id: buyer(&caller, body.customer_id)?,
        lines: body.items.0.into_iter().map(Line::from).collect(),
        details: details(
            body.reference,
            body.note,
            body.delivery_address,
            body.metadata,
        ),
    };
    place(&state, &caller, request.key, |terms| {
        Work::Checkout(purchase, terms)
    })
    .await
}

/// Has the desk place an order, and the payment provider create its intent. A retry finds both unchanged, and completes
/// what the first request did not.
pub(super) async fn place(
    state: &State,
    caller: &Authenticated,
    key: Option<IdempotencyKey>,
    work: impl FnOnce(Terms) -> Work,
) -> Response {
    let (outcome, checkout) = place_order(state, caller, key, work).await?;
    outcome.with_response(payable(checkout)).into_response()
}

/// As [`place`], with the order that can be paid.
pub(crate) async fn place_order(
    state: &State,
    caller: &Authenticated,
    key: Option<IdempotencyKey>,
    work: impl FnOnce(Terms) -> Work,
) -> Result<(Outcome<Executed>, Checkout), Problem> {
    let refused = |error| caller.problem(error);
    let Some(provider) = state.payment_worker.provider() else {
        return Err(refused(domain::Error::NoPaymentProvider));
    };
    let terms = Terms {
        provider: provider.name(),
        seconds: state.payment_seconds,
        limits: provider.limits(caller.currency),
    };
    // Registered before the order exists, so that its hold expires whatever becomes of this request.
    state.sweeper.watch(caller.business_id);
    let command = Command {
        work: work(terms),
        key,
        caller: caller.0.clone(),
    };
    let outcome = state.desk.execute(command).await.map_err(refused)?;
    state.payment_worker.watch(caller.business_id);
    let order = outcome.placed_order().map_err(refused)?;
    let checkout = card::finish(&state.database, provider, caller.business_id, order).await;
    Ok((outcome, checkout.map_err(refused)?))
}

fn payable(checkout: Checkout) -> StoredResponse {
    let view = CheckoutView {
        order_id: checkout.order_id,
        number: OrderNumber::of(checkout.order_id),
        reference: checkout.reference,
        status: Status::PaymentPending,
        total_amount: Amount::of(checkout.total, checkout.currency),
        currency: checkout.currency,
        client_secret: checkout.client_secret,
        expires_at: checkout.expires_at,
    };
    created(&format!("/api/orders/{}", view.order_id), &view)
}
