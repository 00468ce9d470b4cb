//! `/api/orders`: reading, fulfilling, cancelling and refunding orders.

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::cancellation;
use domain::card::provider::Limits;
use domain::card::refunds::{self, NewRefund, What};
use domain::foundation::dates::When;
use domain::foundation::search::Search;
use domain::orders::{
    self, About, DetailsChange, Filter, Fulfilment, Mismatch, Order, OrderKey, Payment, Sort, Step,
    Wanting, changes,
};
use domain::stock::MAX_LINES;
use domain::{Paging, StoredResponse};
use entity::orders::{Attention, CancelReason, PaymentMethod, Status};
use entity::users::Role;
use entity::{
    Address, Currency, CustomerId, DisputeId, Metadata, OrderId, OrderNumber, PaymentId, ProductId,
    Quantity, RefundId, disputes, payment_intents, refunds as refund_rows,
};
use sea_orm::{ActiveEnum, Iterable};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use super::purchase::{Note, SoldView};
use crate::access::Authenticated;
use crate::schema::body::{Bare, Change, Json, List, Positive};
use crate::schema::contact::AddressRequest;
use crate::schema::endpoint::Endpoint;
use crate::schema::metadata::MetadataPatch;
use crate::schema::path::Id;
use crate::schema::problem::{Code, Problem};
use crate::schema::query::{CountedPage, Page, Query, ROWS_TO_COUNT};
use crate::schema::response::{Response, View, done};
use crate::schema::text::{self, Amount, AmountText, FromText, Reference, Several, Text};
use crate::state::State;

const EVERYONE: &[Role] = &[Role::Admin, Role::Staff, Role::Customer];

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listOrders", "/api/orders", list)
            .summary("List orders, the newest first; a customer sees their own")
            .for_roles(EVERYONE)
            .query::<CustomerId>("customer_id", "Only orders of this customer.")
            .query::<WantingAttention>(
                "attention",
                "Only orders that need manual review: `true` for any reason, or one reason.",
            )
            .filtered()
            .paged()
            .followed()
            .counted()
            .ok::<CountedPage<ListedOrderView>>(),
        Endpoint::get("listMyOrders", "/api/orders/my-orders", my_orders)
            .summary("List the customer's own orders, the newest first")
            .for_roles(&[Role::Customer])
            .filtered()
            .paged()
            .counted()
            .ok::<CountedPage<ListedOrderView>>(),
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
            .body::<FulfilmentRequest>()
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

    /// Adds the filters that both lists of orders have.
    fn filtered(self) -> Self {
        self.query::<Search>(
            "q",
            "The beginning of the number, or words of a reference, the customer or a SKU.",
        )
        .query::<Several<Status>>("status", "Only orders with one of these statuses, with commas between them.")
        .query::<ProductId>("product_id", "Only orders with this product.")
        .query::<PaymentMethod>("payment_method", "Only orders with this payment method.")
        .query::<When>("created_from", "Created at this time or later.")
        .query::<When>("created_to", "Created before this time, or until the end of this date.")
        .query::<AmountText>("total_min", "Only orders with this total or a greater one.")
        .query::<AmountText>("total_max", "Only orders with this total or a smaller one.")
        .query::<bool>("unpaid", "True: only orders on credit with an amount due; false: all others.")
        .query::<bool>("overdue", "True: only unpaid orders that are past due; false: all others.")
        .query::<Sort>(
            "sort",
            "The order of the list; `-created_at` if left out. `due_at` needs `unpaid=true` or `overdue=true`, and no `q`.",
        )
    }
}

impl FromText for Sort {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "-created_at" => Ok(Self::Newest),
            "created_at" => Ok(Self::Oldest),
            "due_at" => Ok(Self::DueAt),
            _ => Err("must be one of -created_at, created_at, due_at".to_owned()),
        }
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .enum_values(Some(["-created_at", "created_at", "due_at"]))
            .into()
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
    pub(super) struct FulfilmentRequest {
        /// A reference by which the shipment can be tracked, such as a carrier's number.
        tracking_reference: Option<Text<1, 200>>,
        /// True fulfils an order even if its payment is disputed or was lost to a dispute; false if left out.
        acknowledge_dispute: Option<bool>,
    }
}

/// A filter: orders that need a person's attention.
struct WantingAttention(Wanting);

impl FromText for WantingAttention {
    fn from_text(text: &str) -> Result<Self, String> {
        if text == "true" {
            return Ok(Self(Wanting::Any));
        }
        let reason = Attention::try_from_value(&text.to_owned());
        let reason =
            reason.map_err(|_unknown| format!("must be one of {}", values().join(", ")))?;
        Ok(Self(Wanting::One(reason)))
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .enum_values(Some(values()))
            .into()
    }
}

/// The values of the query parameter.
fn values() -> Vec<String> {
    let reasons = Attention::iter().map(|reason| reason.to_value());
    std::iter::once("true".to_owned()).chain(reasons).collect()
}

crate::body! {
    /// A new refund: `amount`, `items`, or all that is left if both are left out.
    #[example({"amount": "25.00", "reason": "scratched"})]
    pub(super) struct RefundRequest {
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

/// An order of a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"customer_name": "Ada Lovelace"}))]
pub(super) struct ListedOrderView {
    #[serde(flatten)]
    order: OrderView,
    customer_name: String,
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
    fn of(order: &entity::orders::Model, currency: Currency) -> Self {
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
            metadata: order.metadata.clone().unwrap_or_default(),
            created_at: order.created_at,
        }
    }
}

impl ListedOrderView {
    fn of(listed: orders::Listed, currency: Currency) -> Self {
        Self {
            order: OrderView::of(&listed.order, currency),
            customer_name: listed.customer_name,
        }
    }
}

impl OrderWithItems {
    fn of(view: &Order, currency: Currency) -> Self {
        let items = view.items.iter().map(|item| SoldView {
            product_id: item.product_id,
            sku: item.sku.clone(),
            name: item.name.clone(),
            quantity: item.quantity,
            unit_price: Amount::of(item.unit_price, currency),
            line_total: Amount::of(item.line_total, currency),
        });
        Self {
            order: OrderView::of(&view.order, currency),
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
    About {
        order_id: query.take("order_id"),
        customer_id: query.take("customer_id"),
        created_from: query.take("created_from"),
        created_to: query.take("created_to"),
    }
}

async fn list(state: Data<State>, caller: Authenticated, mut query: Query) -> Response {
    if let Some(following) = query.following() {
        query.finish()?;
        let changes = changes::list_changes(&state.database, &caller, &following).await;
        return caller.answer(changes.map(|page| {
            let page =
                Page::of_changes(page, |listed| ListedOrderView::of(listed, caller.currency));
            View(CountedPage::of(page, None))
        }));
    }
    let attention = query.take::<WantingAttention>("attention");
    let filter = Filter {
        customer_id: query.take("customer_id"),
        attention: attention.map(|wanted| wanted.0),
        ..Filter::default()
    };
    page(&state, &caller, filter, query).await
}

async fn my_orders(state: Data<State>, caller: Authenticated, query: Query) -> Response {
    page(&state, &caller, Filter::default(), query).await
}

/// A page of orders that the caller may see and that match this filter and those of every list.
async fn page(state: &State, caller: &Authenticated, filter: Filter, mut query: Query) -> Response {
    let (total_min, total_max) = query.amounts(("total_min", "total_max"), caller.currency);
    let filter = Filter {
        search: query.take("q"),
        status: query
            .take::<Several<Status>>("status")
            .map_or_else(Vec::new, |several| several.0),
        product_id: query.take("product_id"),
        payment_method: query.take("payment_method"),
        created_from: query.take("created_from"),
        created_to: query.take("created_to"),
        total_min,
        total_max,
        unpaid: query.take("unpaid"),
        overdue: query.take("overdue"),
        sort: query.take("sort").unwrap_or_default(),
        ..filter
    };
    let paging: Paging<OrderKey> = query.paging();
    query.expect_cursor(paging.after.is_none_or(|after| after.is_of(filter.sort)));
    if filter.sort == Sort::DueAt {
        if filter.unpaid != Some(true) && filter.overdue != Some(true) {
            query.fault("sort", "due_at needs unpaid=true or overdue=true");
        }
        if filter.search.is_some() {
            query.fault("sort", "due_at is not possible together with q");
        }
    }
    let count = query.count();
    query.finish()?;
    let counted = match count {
        true => Some(orders::count(&state.database, caller, &filter, ROWS_TO_COUNT).await),
        false => None,
    };
    let counted = counted.transpose().map_err(|error| caller.problem(error))?;
    let page = orders::list(&state.database, caller, &filter, &paging).await;
    caller.answer(page.map(|page| {
        let page = Page::of(page, |listed| ListedOrderView::of(listed, caller.currency));
        View(CountedPage::of(page, counted))
    }))
}

async fn read(state: Data<State>, caller: Authenticated, id: Id<OrderId>) -> Response {
    let order = orders::read(&state.database, &caller, id.0).await;
    caller.answer(order.map(|order| View(OrderWithItems::of(&order, caller.currency))))
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
    caller.answer(order.map(|order| View(OrderWithItems::of(&order, caller.currency))))
}

fn render(currency: Currency) -> impl Fn(&Order) -> StoredResponse {
    move |order| done(&OrderWithItems::of(order, currency))
}

async fn cancel(
    state: Data<State>,
    caller: Authenticated,
    id: Id<OrderId>,
    request: Bare,
) -> Response {
    let render = render(caller.currency);
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
    request: Json<FulfilmentRequest>,
) -> Response {
    let tracking_reference = request.body.tracking_reference.as_ref();
    let fulfilment = Fulfilment {
        tracking_reference: tracking_reference.map(|text| text.0.as_str()),
        acknowledge_dispute: request.body.acknowledge_dispute.unwrap_or(false),
    };
    let render = render(caller.currency);
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(orders::fulfil(&state.database, &write, id.0, fulfilment).await)
}

async fn refund(
    state: Data<State>,
    caller: Authenticated,
    id: Id<OrderId>,
    mut request: Json<RefundRequest>,
) -> Response {
    let refund = NewRefund {
        what: what(&mut request.body)?,
        reason: request.body.reason.0,
        takes: takes(&state, &caller),
    };
    let render = render(caller.currency);
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
