//! `/api/orders`: reading, fulfilling, cancelling and refunding orders.

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::cancellation;
use domain::card::provider::Limits;
use domain::card::refunds::{self, NewRefund, What};
use domain::foundation::dates::When;
use domain::orders::{self, About, DetailsChange, Fulfilment, Mismatch, Order, Payment, Step};
use domain::stock::MAX_LINES;
use domain::{Caller, StoredResponse};
use entity::orders::{Attention, CancelReason, PaymentMethod, Status};
use entity::users::Role;
use entity::{
    Address, Currency, CustomerId, DisputeId, Metadata, OrderId, OrderNumber, PaymentId, ProductId,
    Quantity, RefundId, disputes, payment_intents, refunds as refund_rows,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::purchase::{Note, SoldView};
use crate::access::Authenticated;
use crate::schema::body::{Bare, Change, Json, JsonOrEmpty, List, Positive};
use crate::schema::contact::AddressRequest;
use crate::schema::endpoint::Endpoint;
use crate::schema::metadata::{self, MetadataPatch};
use crate::schema::path::Id;
use crate::schema::problem::{Code, Problem};
use crate::schema::query::Query;
use crate::schema::response::{Response, View, done};
use crate::schema::text::{self, Amount, Reference, Text};
use crate::state::State;

pub(super) const EVERYONE: &[Role] = &[Role::Admin, Role::Staff, Role::Customer];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("getOrder", "/api/orders/{order_id}", read)
            .summary("Read an order with its lines; a customer may read their own")
            .for_roles(EVERYONE)
            .ok::<OrderWithItems>()
            .codes(&[Code::OrderNotFound]),
        Endpoint::patch("updateOrder", "/api/orders/{order_id}", change)
            .summary("Change the reference, note, delivery address or metadata of an order, in any status")
            .for_roles(&[Role::Admin, Role::Staff])
            .body::<OrderPatch>()
            .ok::<OrderWithItems>()
            .codes(&[Code::OrderNotFound]),
        Endpoint::post("cancelOrder", "/api/orders/{order_id}/cancel", cancel)
            .summary(
                "Cancel an order. Customers may cancel their own unpaid orders. Admins may cancel an order paid by \
                 card, which is refunded",
            )
            .for_roles(EVERYONE)
            .ok::<OrderWithItems>()
            .codes(&[
                Code::OrderNotFound,
                Code::InvalidTransition,
                Code::CreditPaidOut,
                Code::DisputeOpen,
                Code::AlreadyPaid, Code::AmountTooLarge,
            ])
            .idempotent(),
        Endpoint::post("fulfillOrder", "/api/orders/{order_id}/fulfill", fulfil)
            .summary("Fulfil an order: its goods are with the customer or on their way")
            .for_roles(&[Role::Admin, Role::Staff])
            .optional_body::<FulfilmentRequest>()
            .ok::<OrderWithItems>()
            .codes(&[
                Code::OrderNotFound,
                Code::InvalidTransition,
                Code::DisputeOpen,
                Code::AlreadyRefunded,
            ])
            .idempotent(),
        Endpoint::post("refundOrder", "/api/orders/{order_id}/refund", refund)
            .summary(
                "Refund a card payment: in full, an amount, or the price of some items",
            )
            .for_roles(&[Role::Admin])
            .body::<RefundRequest>()
            .ok::<OrderWithItems>()
            .codes(&[
                Code::OrderNotFound,
                Code::ProductNotFound,
                Code::DisputeOpen,
                Code::NotPaid, Code::NotPaidByCard, Code::AlreadyRefunded, Code::NothingToRefund, Code::RefundableAmountExceeded, Code::CreditableQuantityExceeded,
                Code::PaymentRefused,
            ])
            .idempotent(),
    ]
}

impl Endpoint {
    /// Adds the filters of lists of what orders have, such as refunds. [`about`] reads them.
    pub(super) fn about_orders(self) -> Self {
        self.query::<OrderId>("order_id", "Only those of this order.")
            .query::<CustomerId>("customer_id", "Only those of orders of this customer.")
            .query::<When>("created_from", "Entered at this time or later.")
            .query::<When>(
                "created_to",
                "Entered before this time, or until the end of this date.",
            )
    }
}

crate::body! {
    /// Changes to the details of an order. Members that are left out keep their value.
    #[example({"reference": "PO-1234"})]
    pub(super) struct OrderPatch {
        /// The buyer's own order number; null removes it.
        reference: Change<Reference>,
        /// A note for people, of several lines; null removes it.
        note: Change<Note>,
        /// The address for the goods; null removes it.
        delivery_address: Change<AddressRequest>,
        /// Keys that change. Null or an empty text removes a key; null in place of the object removes all.
        metadata: Change<MetadataPatch>,
    }
}

crate::body! {
    /// The fulfilment of an order.
    #[example({"tracking_reference": "1Z999"})]
    pub(crate) struct FulfilmentRequest {
        /// A reference by which the shipment can be tracked, such as a carrier's number.
        tracking_reference: Option<Text<1, 200>>,
        /// True fulfils an order even if its payment is disputed or was lost to a dispute; false if left out.
        acknowledge_dispute: Option<bool>,
    }
}

crate::body! {
    /// A new refund: `amount`, `items`, or all that is left if both are left out.
    #[example({"amount": "25.00", "reason": "scratched"})]
    pub(crate) struct RefundRequest {
        /// The amount to refund.
        amount: Option<Positive>,
        /// Items to refund, at the price of their sale. Quantities of one product are added up. Units refunded before
        /// are worth 0. With `restock` the refund is limited to what is left of the payment, which may be 0.
        items: Option<List<RefundedItem, 1, MAX_LINES>>,
        /// The reason, for people.
        reason: Text<1, 500>,
        /// Whether the items are restocked, as far as they have not come back yet; false if left out.
        restock: Option<bool>,
    }
}

crate::body! {
    /// One product of a refund.
    pub(super) struct RefundedItem {
        /// The product.
        product_id: ProductId,
        /// The units to refund.
        quantity: Quantity,
    }
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "status": "approved", "payment_method": "credit", "total_amount": "600.00", "amount_paid": "0.00",
    "amount_credited": "0.00", "amount_due": "600.00", "amount_refunded": "0.00",
    "reference": "PO-1234",
}))]
pub(super) struct OrderView {
    order_id: OrderId,
    number: OrderNumber,
    status: Status,
    payment_method: PaymentMethod,
    currency: Currency,
    customer_id: CustomerId,
    total_amount: Amount,
    amount_paid: Amount,
    amount_credited: Amount,
    amount_due: Amount,
    /// The part of a card payment that was refunded or is being refunded.
    amount_refunded: Amount,
    /// The part of a card payment that lost disputes took.
    amount_lost: Amount,
    /// Why the order needs a person's attention; empty if it does not.
    attention: Vec<Attention>,
    /// When the order is due; for a card order, when the time to pay ends.
    #[serde(serialize_with = "text::time")]
    due_at: DateTime<Utc>,
    /// Why the order was cancelled; null if it is not.
    cancel_reason: Option<CancelReason>,
    /// A reference by which the shipment can be tracked, from the order's fulfilment.
    tracking_reference: Option<String>,
    /// The buyer's own order number.
    reference: Option<String>,
    /// A note for people.
    note: Option<String>,
    /// The address for the goods.
    delivery_address: Option<Address>,
    /// Keys of the business's programs.
    metadata: Metadata,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
}

/// An order with its items, payments, refunds, disputes and history.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrderWithItems {
    #[serde(flatten)]
    order: OrderView,
    items: Vec<SoldView>,
    payments: Vec<OrderPayment>,
    refunds: Vec<RefundView>,
    disputes: Vec<DisputeView>,
    history: Vec<StepView>,
}

/// A payment of an order, or one that is expected. On credit it has `payment_id`, `method` and `received_at`; by card
/// `provider`, `intent`, `status` and `failure`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "amount": "600.00", "method": "card", "provider": "stripe", "intent": "pi_3q27w", "status": "succeeded",
}))]
struct OrderPayment {
    amount: Amount,
    method: String,
    payment_id: Option<PaymentId>,
    #[serde(serialize_with = "text::optional_time")]
    received_at: Option<DateTime<Utc>>,
    provider: Option<String>,
    /// The provider's id of the payment.
    intent: Option<String>,
    status: Option<payment_intents::Status>,
    /// The provider's message about a failed attempt, or what was received instead of the requested payment.
    failure: Option<String>,
    /// A card payment that differs from the requested one; null if it does not.
    mismatch: Option<MismatchView>,
}

/// A payment that differs from the requested one, in minor units of its own currency. The currency may differ from that
/// of the business.
#[derive(Debug, Serialize, ToSchema)]
struct MismatchView {
    currency: String,
    received_minor: i64,
    /// The part that was refunded at the payment provider.
    returned_minor: i64,
}

/// A dispute: the buyer contests a card payment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"amount": "100.00", "reason": "product_not_received", "status": "needs_response",
    "provider_dispute": "dp_1PEXAMPLE"}))]
pub(super) struct DisputeView {
    dispute_id: DisputeId,
    amount: Amount,
    /// The payment provider's term for the reason.
    reason: String,
    status: disputes::Status,
    /// The deadline for evidence; null if the payment provider takes none.
    #[serde(serialize_with = "text::optional_time")]
    evidence_due_at: Option<DateTime<Utc>>,
    /// Whether the payment provider has withdrawn the money for the time of the dispute.
    funds_withdrawn: bool,
    /// The payment provider's id of the dispute.
    provider_dispute: String,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
}

/// A refund of a card payment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"amount": "25.00", "status": "succeeded", "reason": "scratched"}))]
pub(super) struct RefundView {
    refund_id: RefundId,
    amount: Amount,
    status: refund_rows::Status,
    reason: String,
    /// Whether its items were restocked.
    restock: bool,
    /// The provider's message about a failure.
    failure: Option<String>,
    /// Whether the refund was made by hand at the payment provider, which then reported it.
    by_hand: bool,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
}

/// A status that an order entered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"from": "created", "to": "approved", "actor_role": "staff"}))]
struct StepView {
    /// The status before; null for the first.
    from: Option<Status>,
    /// The status entered.
    to: Status,
    #[serde(serialize_with = "text::time")]
    at: DateTime<Utc>,
    /// The role that made the step, or `system` for the service itself. Null for the first: the audit entry has the
    /// actor.
    actor_role: Option<String>,
}

impl OrderView {
    pub(super) fn of(order: &entity::orders::Model, reader: &Caller) -> Self {
        let currency = reader.currency;
        let amount = |money| Amount::of(money, currency);
        Self {
            order_id: order.id,
            number: OrderNumber::of(order.id),
            status: order.status,
            payment_method: order.payment_method,
            currency,
            customer_id: order.customer_id,
            total_amount: amount(order.total_amount),
            amount_paid: amount(order.amount_paid()),
            amount_credited: amount(order.amount_credited()),
            amount_due: amount(order.amount_due),
            amount_refunded: amount(order.amount_refunded),
            amount_lost: amount(order.amount_lost),
            attention: order.attention(),
            due_at: order.due_at,
            cancel_reason: order.cancel_reason,
            tracking_reference: order.tracking_reference.clone(),
            reference: order.reference.clone(),
            note: order.note.clone(),
            delivery_address: order.delivery_address.clone(),
            metadata: metadata::shown(order.metadata.as_ref(), Some(reader)),
            created_at: order.created_at,
        }
    }
}

impl OrderWithItems {
    fn of(view: &Order, reader: &Caller) -> Self {
        let currency = reader.currency;
        let items = view.items.iter().map(|item| SoldView {
            product_id: item.product_id,
            sku: item.sku.clone(),
            name: item.name.clone(),
            quantity: item.quantity,
            unit_price: Amount::of(item.unit_price, currency),
            line_total: Amount::of(item.line_total, currency),
        });
        Self {
            order: OrderView::of(&view.order, reader),
            items: items.collect(),
            payments: view
                .payments
                .iter()
                .map(|one| OrderPayment::of(one, currency))
                .collect(),
            refunds: view
                .refunds
                .iter()
                .map(|one| RefundView::of(one, currency))
                .collect(),
            disputes: view
                .disputes
                .iter()
                .map(|one| DisputeView::of(one, currency))
                .collect(),
            history: view.history.iter().map(StepView::of).collect(),
        }
    }
}

impl OrderPayment {
    fn of(payment: &Payment, currency: Currency) -> Self {
        match payment {
            Payment::OnAccount {
                payment_id,
                method,
                amount,
                received_at,
            } => Self {
                amount: Amount::of(*amount, currency),
                method: method.clone(),
                payment_id: Some(*payment_id),
                received_at: Some(*received_at),
                provider: None,
                intent: None,
                status: None,
                failure: None,
                mismatch: None,
            },
            Payment::ByCard {
                provider,
                intent,
                amount,
                status,
                failure,
                mismatch,
            } => Self {
                amount: Amount::of(*amount, currency),
                method: "card".to_owned(),
                payment_id: None,
                received_at: None,
                provider: Some(provider.clone()),
                intent: intent.clone(),
                status: Some(*status),
                failure: failure.clone(),
                mismatch: mismatch.as_ref().map(MismatchView::of),
            },
        }
    }
}

impl MismatchView {
    fn of(mismatch: &Mismatch) -> Self {
        Self {
            currency: mismatch.currency.clone(),
            received_minor: mismatch.received_minor,
            returned_minor: mismatch.returned_minor,
        }
    }
}

impl DisputeView {
    pub(super) fn of(dispute: &disputes::Model, currency: Currency) -> Self {
        Self {
            dispute_id: dispute.id,
            amount: Amount::of(dispute.amount, currency),
            reason: dispute.reason.clone(),
            status: dispute.status,
            evidence_due_at: dispute.evidence_due_at,
            funds_withdrawn: dispute.funds_withdrawn,
            provider_dispute: dispute.provider_id.clone(),
            created_at: dispute.created_at,
        }
    }
}

impl RefundView {
    pub(super) fn of(refund: &refund_rows::Model, currency: Currency) -> Self {
        Self {
            refund_id: refund.id,
            amount: Amount::of(refund.amount, currency),
            status: refund.status,
            reason: refund.reason.clone(),
            restock: refund.restock,
            failure: refund.failure.clone(),
            by_hand: refund.by_hand,
            created_at: refund.created_at,
        }
    }
}

impl StepView {
    fn of(step: &Step) -> Self {
        Self {
            from: step.from,
            to: step.to,
            at: step.at,
            actor_role: step.actor_role.clone(),
        }
    }
}

/// Reads the filters of a list of what orders have.
pub(super) fn about(query: &mut Query) -> About {
    let (created_from, created_to) = query.span(("created_from", "created_to"));
    About {
        order_id: query.take("order_id"),
        customer_id: query.take("customer_id"),
        created_from,
        created_to,
    }
}

async fn read(state: Data<State>, caller: Authenticated, id: Id<OrderId>) -> Response {
    let order = orders::read(&state.database, &caller, id.0).await;
    caller.answer(order.map(|order| View(OrderWithItems::of(&order, &caller))))
}

async fn change(
    state: Data<State>,
    caller: Authenticated,
    id: Id<OrderId>,
    request: Json<OrderPatch>,
) -> Response {
    let body = request.body;
    let change = DetailsChange {
        reference: body.reference.changed(|text| text.0),
        note: body.note.changed(|text| text.0),
        delivery_address: body.delivery_address.changed(Address::from),
        metadata: body.metadata.into(),
    };
    let order = orders::change(&state.database, &caller, id.0, &change).await;
    caller.answer(order.map(|order| View(OrderWithItems::of(&order, &caller))))
}

fn render(caller: &Caller) -> impl Fn(&Order) -> StoredResponse {
    move |order| done(&OrderWithItems::of(order, caller))
}

async fn cancel(
    state: Data<State>,
    caller: Authenticated,
    id: Id<OrderId>,
    request: Bare,
) -> Response {
    let render = render(&caller);
    let write = caller.write(request.key.as_ref(), &render);
    let cancelled = cancellation::cancel(&state.database, &write, id.0).await;
    if cancelled.is_ok() {
        // A card order's refund or cancelled intent is due at the provider.
        state.payment_worker.wake(caller.business_id);
    }
    caller.answer(cancelled)
}

async fn fulfil(
    state: Data<State>,
    caller: Authenticated,
    id: Id<OrderId>,
    request: JsonOrEmpty<FulfilmentRequest>,
) -> Response {
    let fulfilment = request.body.fulfilment();
    let render = render(&caller);
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(orders::fulfil(&state.database, &write, id.0, fulfilment).await)
}

impl FulfilmentRequest {
    /// The input of the domain.
    pub(crate) fn fulfilment(&self) -> Fulfilment<'_> {
        let tracking_reference = self.tracking_reference.as_ref();
        Fulfilment {
            tracking_reference: tracking_reference.map(|text| text.0.as_str()),
            acknowledge_dispute: self.acknowledge_dispute.unwrap_or(false),
        }
    }
}

impl RefundRequest {
    /// The input of the domain.
    pub(crate) fn refund(
        mut self,
        state: &State,
        caller: &Authenticated,
    ) -> Result<NewRefund, Problem> {
        Ok(NewRefund {
            what: what(&mut self)?,
            reason: self.reason.0,
            takes: takes(state, caller),
        })
    }
}

async fn refund(
    state: Data<State>,
    caller: Authenticated,
    id: Id<OrderId>,
    request: Json<RefundRequest>,
) -> Response {
    let refund = request.body.refund(&state, &caller)?;
    let render = render(&caller);
    let write = caller.write(request.key.as_ref(), &render);
    let refunded = refunds::request(&state.database, &write, id.0, &refund).await;
    if refunded.is_ok() {
        state.payment_worker.wake(caller.business_id);
    }
    caller.answer(refunded)
}

/// The name and limits of the configured provider.
fn takes(state: &State, caller: &Authenticated) -> Option<(&'static str, Limits)> {
    let provider = state.payment_worker.provider()?;
    Some((provider.name(), provider.limits(caller.currency)?))
}

fn what(body: &mut RefundRequest) -> Result<What, Problem> {
    let restock = body.restock.unwrap_or(false);
    match (body.amount.take(), body.items.take()) {
        (_, None) if restock => Err(Problem::fault(
            "/restock",
            "needs items: an amount cannot be restocked",
        )),
        (None, None) => Ok(What::Rest),
        (Some(amount), None) => Ok(What::Amount(amount.0)),
        (None, Some(items)) => {
            let items = items.into_iter();
            let items = items.map(|item| (item.product_id, item.quantity.get()));
            Ok(What::Items {
                items: items.collect(),
                restock,
            })
        }
        (Some(_), Some(_)) => Err(Problem::fault("", "must not have both amount and items")),
    }
}
