//! `/api/customers/{customer_id}/allocations`: allocating credit on account to orders.

use actix_web::web::Data;
use domain::Posted;
use domain::receivables::credit_on_account;
use domain::receivables::settlement::Target;
use entity::users::Role;
use entity::{Currency, CustomerId, Money, OrderId};
use serde::Serialize;
use utoipa::ToSchema;

use super::documents::AccountSummaryView;
use super::payments::{AllocationRequest, AllocationView, MAX_ORDERS, orders};
use crate::access::Authenticated;
use crate::schema::body::{Json, List};
use crate::schema::endpoint::Endpoint;
use crate::schema::path::Id;
use crate::schema::problem::Code;
use crate::schema::response::{Response, done};
use crate::state::State;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(
            "allocateCredit",
            "/api/customers/{customer_id}/allocations",
            allocate,
        )
        .summary("Settle orders with the customer's credit on account")
        .for_roles(&[Role::Admin, Role::Staff])
        .body::<AllocationsRequest>()
        .ok::<AllocationsView>()
        .codes(&[
            Code::CustomerNotFound,
            Code::OrderNotFound,
            Code::Overpayment,
            Code::CreditOnAccountExceeded,
            Code::AmountTooLarge,
        ])
        .idempotent(),
    ]
}

crate::body! {
    /// The orders that credit on account settles. The oldest credit is used first.
    #[example({"allocations": [{"order_id": "0190a5d4-7b1c-7000-8000-000000000002", "amount": "25.00"}]})]
    pub(super) struct AllocationsRequest {
        /// Orders with an amount each. If left out, the longest due orders are settled, as far as the credit reaches.
        allocations: Option<List<AllocationRequest, 1, MAX_ORDERS>>,
    }
}

/// The orders settled with credit on account, and the account afterwards.
#[derive(Debug, Serialize, ToSchema)]
struct AllocationsView {
    customer_id: CustomerId,
    currency: Currency,
    allocations: Vec<AllocationView>,
    #[serde(flatten)]
    figures: AccountSummaryView,
}

async fn allocate(
    state: Data<State>,
    caller: Authenticated,
    id: Id<CustomerId>,
    request: Json<AllocationsRequest>,
) -> Response {
    let target = request.body.allocations.map_or(Target::OldestDue, orders);
    let currency = caller.currency;
    let render = |posted: &Posted<Vec<(OrderId, Money)>>| {
        done(&AllocationsView {
            customer_id: id.0,
            currency,
            allocations: AllocationView::all(&posted.document, currency),
            figures: AccountSummaryView::of(&posted.account, currency),
        })
    };
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(credit_on_account::allocate(&state.database, &write, id.0, &target).await)
}
