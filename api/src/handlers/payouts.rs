//! `/api/customers/{id}/payouts` and `/api/payouts`: credit on account that is paid back to customers.

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::foundation::dates::When;
use domain::receivables::payouts::{self, Filter, NewPayout, Payout};
use domain::{Database, Paging};
use entity::users::Role;
use entity::{Currency, CustomerId, PayoutId, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::documents::{self, DocumentView, ReversalRequest, WithBalance};
use crate::access::Authenticated;
use crate::http::listing::Listing;
use crate::schema::body::{Json, Positive};
use crate::schema::endpoint::Endpoint;
use crate::schema::path::Id;
use crate::schema::problem::Code;
use crate::schema::query::{Page, Query};
use crate::schema::response::{Response, View};
use crate::schema::text::{self, Amount, Text};
use crate::state::State;

const STAFF: &[Role] = &[Role::Admin, Role::Staff];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(
            "createPayout",
            "/api/customers/{customer_id}/payouts",
            create,
        )
        .summary("Pay credit on account out to its customer, the oldest credit first")
        .for_roles(&[Role::Admin])
        .body::<PayoutRequest>()
        .created::<WithBalance<PayoutView>>()
        .codes(&[
            Code::CustomerNotFound,
            Code::CreditOnAccountExceeded,
            Code::PeriodClosed,
            Code::AmountTooLarge,
        ])
        .idempotent(),
        Endpoint::get("listPayouts", "/api/payouts", list)
            .summary("List payouts, the newest first")
            .for_roles(STAFF)
            .query::<CustomerId>("customer_id", "Only payouts to this customer.")
            .query::<When>("created_from", "Entered at this time or later.")
            .query::<When>(
                "created_to",
                "Entered before this time, or until the end of this date.",
            )
            .paged()
            .ok::<Page<PayoutView>>(),
        Endpoint::get("getPayout", "/api/payouts/{payout_id}", read)
            .summary("Read a payout")
            .for_roles(STAFF)
            .ok::<PayoutView>()
            .codes(&[Code::NotFound]),
        Endpoint::post("reversePayout", "/api/payouts/{payout_id}/reverse", reverse)
            .summary(
                "Reverse a payout that did not reach the customer: its credit is on account again",
            )
            .for_roles(&[Role::Admin])
            .body::<ReversalRequest>()
            .created::<WithBalance<PayoutView>>()
            .codes(&[Code::NotFound, Code::AlreadyReversed, Code::AmountTooLarge])
            .idempotent(),
    ]
}

crate::body! {
    /// A new payout.
    #[example({"amount": "25.00", "method": "bank transfer", "reference": "transfer 17"})]
    pub(super) struct PayoutRequest {
        /// The amount to pay out, at most the credit on account.
        amount: Positive,
        /// The method, in the words of the business: cash or bank transfer, for example.
        method: Text<1, 50>,
        /// An external reference, such as the number of a transfer.
        reference: Option<Text<1, 200>>,
        /// When it was paid, at the latest now; now if left out. The credit must have been on account at that time.
        paid_at: Option<DateTime<Utc>>,
    }
}

/// A payout.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"amount": "25.00", "method": "bank transfer", "reference": "transfer 17"}))]
pub(super) struct PayoutView {
    payout_id: PayoutId,
    customer_id: CustomerId,
    amount: Amount,
    currency: Currency,
    method: String,
    reference: Option<String>,
    #[serde(serialize_with = "text::time")]
    paid_at: DateTime<Utc>,
    /// The user or API key that entered it.
    created_by: UserId,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
    /// When it was reversed; null if it is not.
    #[serde(serialize_with = "text::optional_time")]
    reversed_at: Option<DateTime<Utc>>,
    reversal_reason: Option<String>,
}

impl DocumentView for PayoutView {
    type Document = Payout;

    fn of(view: &Payout, currency: Currency) -> Self {
        let payout = &view.payout;
        let reversal = view.reversal.as_ref();
        Self {
            payout_id: payout.id,
            customer_id: payout.customer_id,
            amount: Amount::of(payout.amount, currency),
            currency,
            method: payout.method.clone(),
            reference: payout.reference.clone(),
            paid_at: payout.paid_at,
            created_by: payout.created_by,
            created_at: payout.created_at,
            reversed_at: reversal.map(|reversal| reversal.at),
            reversal_reason: reversal.map(|reversal| reversal.reason.clone()),
        }
    }

    fn location(document: &Payout) -> String {
        format!("/api/payouts/{}", document.payout.id)
    }
}

async fn create(
    state: Data<State>,
    caller: Authenticated,
    id: Id<CustomerId>,
    request: Json<PayoutRequest>,
) -> Response {
    let body = request.body;
    let new = NewPayout {
        customer_id: id.0,
        amount: body.amount.0,
        method: body.method.0,
        reference: body.reference.map(|reference| reference.0),
        paid_at: body.paid_at,
    };
    let render = documents::render::<PayoutView>(&caller);
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(payouts::create(&state.database, &write, &new).await)
}

async fn reverse(
    state: Data<State>,
    caller: Authenticated,
    id: Id<PayoutId>,
    request: Json<ReversalRequest>,
) -> Response {
    let render = documents::render::<PayoutView>(&caller);
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(payouts::reverse(&state.database, &write, id.0, &request.body.reason.0).await)
}

async fn read(state: Data<State>, caller: Authenticated, id: Id<PayoutId>) -> Response {
    let payout = payouts::read(&state.database, &caller, id.0).await;
    caller.answer(payout.map(|payout| View(PayoutView::of(&payout, caller.currency))))
}

async fn list(lists: Listing, caller: Authenticated, mut query: Query) -> Response {
    let (created_from, created_to) = query.span(("created_from", "created_to"));
    let filter = Filter {
        customer_id: query.take("customer_id"),
        created_from,
        created_to,
    };
    let currency = caller.currency;
    let read = async move |database: &Database, paging: &Paging<PayoutId>| {
        payouts::list(database, &caller, &filter, paging).await
    };
    let view = move |payout| PayoutView::of(&payout, currency);
    lists.answer(query, currency, read, view).await
}
