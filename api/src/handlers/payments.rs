//! `/api/payments`: money received, which orders it settles, and what became of it.

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::receivables::payments::{self, NewPayment, Payment};
use domain::receivables::settlement::Target;
use domain::{AccountSummary, Caller, Posted, StoredResponse};
use entity::users::Role;
use entity::{Currency, CustomerId, Money, OrderId, PaymentId, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Authenticated;
use crate::schema::body::{Json, List, Positive};
use crate::schema::endpoint::Endpoint;
use crate::schema::path::Id;
use crate::schema::problem::{Code, Problem};
use crate::schema::query::{Page, Query};
use crate::schema::response::{Response, View, created};
use crate::schema::text::{self, Amount, Text};
use crate::state::State;

const STAFF: &[Role] = &[Role::Admin, Role::Staff];

/// The most orders that one request settles by name, as many as an order has lines.
pub(super) const MAX_ORDERS: usize = 500;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listPayments", "/api/payments", list)
            .summary("List payments, the newest first")
            .for_roles(STAFF)
            .query::<CustomerId>("customer_id", "Of this customer.")
            .paged()
            .ok::<Page<PaymentView>>(),
        Endpoint::post("createPayment", "/api/payments", receive)
            .summary("Take a payment; without a target it settles what is due for longest first")
            .for_roles(STAFF)
            .body::<PaymentRequest>()
            .created::<PaymentWithBalance>()
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
        .summary("Undo a payment that bounced: what it settled is due again")
        .for_roles(&[Role::Admin])
        .body::<ReversalRequest>()
        .created::<PaymentWithBalance>()
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
    /// Money received.
    #[example({
        "amount": "25.00", "method": "cheque", "reference": "000123",
        "order_id": "0190a5d4-7b1c-7000-8000-000000000002",
    })]
    pub(super) struct PaymentRequest {
        /// Who paid.
        customer_id: CustomerId,
        /// How much.
        amount: Positive,
        /// How it came: cash, bank transfer, whatever the business calls it.
        method: Text<1, 50>,
        /// What it can be found by, such as the number of a cheque.
        reference: Option<Text<1, 200>>,
        /// When it came: from 1970, or the day until which the books are closed, to now, which it is if left out. What is
        /// up to 2 minutes ahead is now.
        received_at: Option<DateTime<Utc>>,
        /// The one order that it is for.
        order_id: Option<OrderId>,
        /// The orders that it is for, with how much for each. Not together with `order_id`. Together they are the amount,
        /// unless the rest is kept on account.
        allocations: Option<List<AllocationRequest, 1, MAX_ORDERS>>,
        /// Whether what is not due is kept as credit of the customer; false if left out. Otherwise such a payment is refused.
        on_account: Option<bool>,
    }
}

crate::body! {
    /// So much for one order.
    #[example({"amount": "25.00"})]
    pub(super) struct AllocationRequest {
        /// The order.
        order_id: OrderId,
        /// How much.
        amount: Positive,
    }
}

crate::body! {
    /// Why something is undone.
    #[example({"reason": "entered twice"})]
    pub(super) struct ReversalRequest {
        /// Why.
        pub(super) reason: Text<1, 500>,
    }
}

/// How much of a credit settles one order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"amount": "25.00"}))]
pub(super) struct AllocationView {
    order_id: OrderId,
    amount: Amount,
}

/// A payment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "amount": "25.00", "method": "cheque", "reference": "000123", "unallocated": "0.00",
    "paid_out": "0.00",
}))]
pub(super) struct PaymentView {
    payment_id: PaymentId,
    customer_id: CustomerId,
    amount: Amount,
    currency: Currency,
    method: String,
    reference: Option<String>,
    #[serde(serialize_with = "text::time")]
    received_at: DateTime<Utc>,
    /// The orders that it settles now.
    allocations: Vec<AllocationView>,
    /// What of it settles no order and is credit of the customer.
    unallocated: Amount,
    /// What of it was paid out to the customer.
    paid_out: Amount,
    /// Who entered it.
    created_by: UserId,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
    /// When it was undone.
    #[serde(serialize_with = "text::optional_time")]
    reversed_at: Option<DateTime<Utc>>,
    reversal_reason: Option<String>,
}

/// A payment, and what the customer owes after it.
#[derive(Debug, Serialize, ToSchema)]
struct PaymentWithBalance {
    #[serde(flatten)]
    payment: PaymentView,
    #[serde(flatten)]
    figures: AccountSummaryView,
}

/// What a customer owes and may still buy.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "customer_balance": "600.00", "available_credit": "400.00", "credit_on_account": "0.00",
}))]
pub(super) struct AccountSummaryView {
    /// What the customer owes now.
    customer_balance: Amount,
    /// What it may still buy.
    available_credit: Amount,
    /// What of its credits has settled no order.
    credit_on_account: Amount,
}

impl AllocationView {
    pub(super) fn all(shares: &[(OrderId, Money)], currency: Currency) -> Vec<Self> {
        let shares = shares.iter().map(|(order_id, amount)| Self {
            order_id: *order_id,
            amount: Amount::of(*amount, currency),
        });
        shares.collect()
    }
}

impl AccountSummaryView {
    pub(super) fn of(figures: &AccountSummary, currency: Currency) -> Self {
        Self {
            customer_balance: Amount::of(figures.balance, currency),
            available_credit: Amount::of(figures.available_credit, currency),
            credit_on_account: Amount::of(figures.on_account, currency),
        }
    }
}

impl PaymentView {
    fn of(found: &Payment, currency: Currency) -> Self {
        let payment = &found.payment;
        let reversal = found.reversal.as_ref();
        Self {
            payment_id: payment.id,
            customer_id: payment.customer_id,
            amount: Amount::of(payment.amount, currency),
            currency,
            method: payment.method.clone(),
            reference: payment.reference.clone(),
            received_at: payment.received_at,
            allocations: AllocationView::all(&found.allocations, currency),
            unallocated: Amount::of(found.unallocated(), currency),
            paid_out: Amount::of(found.paid_out, currency),
            created_by: payment.created_by,
            created_at: payment.created_at,
            reversed_at: reversal.map(|reversal| reversal.at),
            reversal_reason: reversal.map(|reversal| reversal.reason.clone()),
        }
    }
}

/// The orders that a request names, with how much for each.
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
                let message = "must not be more than the amount altogether";
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
        received_at: body.received_at,
        target,
        on_account: body.on_account.unwrap_or(false),
    })
}

fn render(caller: &Caller) -> impl Fn(&Posted<Payment>) -> StoredResponse + use<> {
    let currency = caller.currency;
    move |posted| {
        let payment = &posted.document;
        let view = PaymentWithBalance {
            payment: PaymentView::of(payment, currency),
            figures: AccountSummaryView::of(&posted.account, currency),
        };
        created(&format!("/api/payments/{}", payment.payment.id), &view)
    }
}

async fn receive(
    state: Data<State>,
    caller: Authenticated,
    request: Json<PaymentRequest>,
) -> Response {
    let new = payment(request.body)?;
    let render = render(&caller);
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(payments::receive(&state.database, &write, &new).await)
}

async fn reverse(
    state: Data<State>,
    caller: Authenticated,
    id: Id<PaymentId>,
    request: Json<ReversalRequest>,
) -> Response {
    let render = render(&caller);
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(payments::reverse(&state.database, &write, id.0, &request.body.reason.0).await)
}

async fn read(state: Data<State>, caller: Authenticated, id: Id<PaymentId>) -> Response {
    let payment = payments::read(&state.database, &caller, id.0).await;
    caller.answer(payment.map(|payment| View(PaymentView::of(&payment, caller.currency))))
}

async fn list(state: Data<State>, caller: Authenticated, mut query: Query) -> Response {
    let customer = query.take("customer_id");
    let paging = query.paging();
    query.finish()?;
    let page = payments::list(&state.database, &caller, customer, &paging).await;
    caller.answer(page.map(|page| {
        View(Page::of(page, |payment| {
            PaymentView::of(&payment, caller.currency)
        }))
    }))
}
