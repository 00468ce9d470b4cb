//! `/api/payments`: money received, the orders that it settles, and reversals.

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::foundation::dates::When;
use domain::foundation::search::Search;
use domain::receivables::payment_changes;
use domain::receivables::payments::{self, Filter, Listed, NewPayment, Payment};
use domain::receivables::settlement::Target;
use domain::{Database, Paging};
use entity::users::Role;
use entity::{Currency, CustomerId, Metadata, Money, OrderId, OrderNumber, PaymentId, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::documents::{self, DocumentView, ReversalRequest, WithBalance};
use crate::access::Authenticated;
use crate::http::listing::Listing;
use crate::schema::body::{Json, List, Positive};
use crate::schema::endpoint::Endpoint;
use crate::schema::metadata::NewMetadata;
use crate::schema::path::Id;
use crate::schema::problem::{Code, Problem};
use crate::schema::query::{CountedPage, Query, ROWS_TO_COUNT};
use crate::schema::response::{Response, View};
use crate::schema::text::{self, Amount, AmountText, Text};
use crate::state::State;

const STAFF: &[Role] = &[Role::Admin, Role::Staff];

/// The maximum of orders that one request names, equal to that of items in an order.
pub(super) const MAX_ORDERS: usize = 500;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listPayments", "/api/payments", list)
            .summary("List payments, the newest first")
            .for_roles(STAFF)
            .query::<Search>("q", "Words of the reference or the customer.")
            .query::<CustomerId>("customer_id", "Only payments of this customer.")
            .query::<When>("received_from", "Received at this time or later.")
            .query::<When>(
                "received_to",
                "Received before this time, or until the end of this date.",
            )
            .query::<AmountText>("amount_min", "Only payments of this amount or a greater one.")
            .query::<AmountText>("amount_max", "Only payments of this amount or a smaller one.")
            .paged()
            .followed()
            .counted()
            .ok::<CountedPage<ListedPaymentView>>(),
        Endpoint::post("createPayment", "/api/payments", receive)
            .summary("Record a payment; without a target it settles the orders that are due for longest first")
            .for_roles(STAFF)
            .body::<PaymentRequest>()
            .created::<WithBalance<PaymentView>>()
            .codes(&[
                Code::CustomerNotFound,
                Code::OrderNotFound,
                Code::Overpayment,
                Code::AllocationsDoNotAddUp,
                Code::PeriodClosed,
                Code::AmountTooLarge,
            ])
            .idempotent(),
        Endpoint::get("getPayment", "/api/payments/{payment_id}", read)
            .summary("Read a payment with the orders that it settles now")
            .for_roles(STAFF)
            .ok::<PaymentView>()
            .codes(&[Code::NotFound]),
        Endpoint::post(
            "reversePayment",
            "/api/payments/{payment_id}/reverse",
            reverse,
        )
        .summary("Reverse a payment that bounced: the amount that it settled is due again")
        .for_roles(&[Role::Admin])
        .body::<ReversalRequest>()
        .created::<WithBalance<PaymentView>>()
        .codes(&[
            Code::NotFound,
            Code::AlreadyReversed,
            Code::CreditPaidOut,
            Code::AmountTooLarge,
        ])
        .idempotent(),
    ]
}

crate::body! {
    /// A new payment.
    #[example({
        "amount": "25.00", "method": "cheque", "reference": "000123",
        "order_id": "0190a5d4-7b1c-7000-8000-000000000002",
    })]
    pub(super) struct PaymentRequest {
        /// The customer who paid.
        customer_id: CustomerId,
        /// The amount received.
        amount: Positive,
        /// The method, in the words of the business: cash or bank transfer, for example.
        method: Text<1, 50>,
        /// An external reference, such as a cheque number.
        reference: Option<Text<1, 200>>,
        /// When the money was received; now if left out. At the earliest 1970 or the first open day, at the latest now.
        /// A time up to 2 minutes ahead is taken as now, and a date as the start of its day in the business's zone.
        received_at: Option<When>,
        /// The one order that the payment is for.
        order_id: Option<OrderId>,
        /// The orders that the payment is for, with an amount each. Not together with `order_id`. The amounts must add
        /// up to the payment, unless `on_account` is true.
        allocations: Option<List<AllocationRequest, 1, MAX_ORDERS>>,
        /// Keys of the business's programs.
        metadata: Option<NewMetadata>,
        /// Whether an excess stays as credit on account; false if left out. Without it a payment that exceeds the
        /// amount due is rejected.
        on_account: Option<bool>,
    }
}

crate::body! {
    /// An amount for one order.
    #[example({"amount": "25.00"})]
    pub(super) struct AllocationRequest {
        /// The order.
        order_id: OrderId,
        /// The amount to allocate to the order.
        amount: Positive,
    }
}

/// The part of a credit that settles one order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"amount": "25.00"}))]
pub(super) struct AllocationView {
    order_id: OrderId,
    order_number: OrderNumber,
    amount: Amount,
}

/// A payment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "amount": "25.00", "method": "cheque", "reference": "000123", "metadata": {}, "unallocated": "0.00",
    "paid_out": "0.00",
}))]
pub(super) struct PaymentView {
    payment_id: PaymentId,
    customer_id: CustomerId,
    amount: Amount,
    currency: Currency,
    method: String,
    reference: Option<String>,
    /// Keys of the business's programs.
    metadata: Metadata,
    #[serde(serialize_with = "text::time")]
    received_at: DateTime<Utc>,
    /// The orders that it settles now.
    allocations: Vec<AllocationView>,
    /// The part that settles no order: credit on account.
    unallocated: Amount,
    /// The part that was paid out to the customer.
    paid_out: Amount,
    /// The user or API key that entered it.
    created_by: UserId,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
    /// When it was reversed; null if it is not.
    #[serde(serialize_with = "text::optional_time")]
    reversed_at: Option<DateTime<Utc>>,
    reversal_reason: Option<String>,
}

/// A payment of a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"customer_name": "Ada Lovelace"}))]
struct ListedPaymentView {
    #[serde(flatten)]
    payment: PaymentView,
    customer_name: String,
}

impl ListedPaymentView {
    fn of(listed: Listed, currency: Currency) -> Self {
        Self {
            payment: PaymentView::of(&listed.payment, currency),
            customer_name: listed.customer_name,
        }
    }
}

impl AllocationView {
    pub(super) fn all(shares: &[(OrderId, Money)], currency: Currency) -> Vec<Self> {
        let shares = shares.iter().map(|(order_id, amount)| Self {
            order_id: *order_id,
            order_number: OrderNumber::of(*order_id),
            amount: Amount::of(*amount, currency),
        });
        shares.collect()
    }
}

impl DocumentView for PaymentView {
    type Document = Payment;

    fn of(view: &Payment, currency: Currency) -> Self {
        let payment = &view.payment;
        let reversal = view.reversal.as_ref();
        Self {
            payment_id: payment.id,
            customer_id: payment.customer_id,
            amount: Amount::of(payment.amount, currency),
            currency,
            method: payment.method.clone(),
            reference: payment.reference.clone(),
            metadata: payment.metadata.clone().unwrap_or_default(),
            received_at: payment.received_at,
            allocations: AllocationView::all(&view.allocations, currency),
            unallocated: Amount::of(view.unallocated(), currency),
            paid_out: Amount::of(view.paid_out, currency),
            created_by: payment.created_by,
            created_at: payment.created_at,
            reversed_at: reversal.map(|reversal| reversal.at),
            reversal_reason: reversal.map(|reversal| reversal.reason.clone()),
        }
    }

    fn location(document: &Payment) -> String {
        format!("/api/payments/{}", document.payment.id)
    }
}

/// The orders of a request, with an amount each.
pub(super) fn orders(list: List<AllocationRequest, 1, MAX_ORDERS>) -> Target {
    let shares = list.into_iter();
    Target::Orders(
        shares
            .map(|share| (share.order_id, share.amount.0))
            .collect(),
    )
}

fn payment(body: PaymentRequest) -> Result<NewPayment, Problem> {
    let amount = body.amount.0;
    let target = match (body.order_id, body.allocations) {
        (None, None) => Target::OldestDue,
        (Some(id), None) => Target::Order(id),
        (None, Some(list)) => {
            let all: Money = list.0.iter().map(|share| share.amount.0).sum();
            if all > amount {
                let message = "must not exceed the amount of the payment in total";
                return Err(Problem::fault("/allocations", message));
            }
            orders(list)
        }
        (Some(_), Some(_)) => {
            return Err(Problem::fault(
                "",
                "must not have both order_id and allocations",
            ));
        }
    };
    Ok(NewPayment {
        customer_id: body.customer_id,
        amount,
        method: body.method.0,
        reference: body.reference.map(|reference| reference.0),
        metadata: NewMetadata::stored(body.metadata),
        received_at: body.received_at,
        target,
        on_account: body.on_account.unwrap_or(false),
    })
}

async fn receive(
    state: Data<State>,
    caller: Authenticated,
    request: Json<PaymentRequest>,
) -> Response {
    let new = payment(request.body)?;
    let render = documents::render::<PaymentView>(&caller);
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(payments::receive(&state.database, &write, &new).await)
}

async fn reverse(
    state: Data<State>,
    caller: Authenticated,
    id: Id<PaymentId>,
    request: Json<ReversalRequest>,
) -> Response {
    let render = documents::render::<PaymentView>(&caller);
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(payments::reverse(&state.database, &write, id.0, &request.body.reason.0).await)
}

async fn read(state: Data<State>, caller: Authenticated, id: Id<PaymentId>) -> Response {
    let payment = payments::read(&state.database, &caller, id.0).await;
    caller.answer(payment.map(|payment| View(PaymentView::of(&payment, caller.currency))))
}

async fn list(lists: Listing, caller: Authenticated, mut query: Query) -> Response {
    if let Some(following) = lists.following(&mut query) {
        query.finish()?;
        let changes = payment_changes::list_changes(lists.database(), &caller, &following).await;
        return caller.answer(changes.map(|page| {
            lists.changes(page, |listed| {
                ListedPaymentView::of(listed, caller.currency)
            })
        }));
    }
    let (amount_min, amount_max) = query.amounts(("amount_min", "amount_max"), caller.currency);
    let (received_from, received_to) = query.span(("received_from", "received_to"));
    let filter = Filter {
        search: query.take("q"),
        customer_id: query.take("customer_id"),
        received_from,
        received_to,
        amount_min,
        amount_max,
    };
    let currency = caller.currency;
    let (counter, counted) = (caller.clone(), filter.clone());
    let count = async move |database: &Database| {
        payments::count(database, &counter, &counted, ROWS_TO_COUNT).await
    };
    let read = async move |database: &Database, paging: &Paging<PaymentId>| {
        payments::list(database, &caller, &filter, paging).await
    };
    let view = move |listed| ListedPaymentView::of(listed, currency);
    lists
        .counted(count)
        .answer(query, currency, read, view)
        .await
}
