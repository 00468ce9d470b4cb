//! `/api/customers/{customer_id}/allocations`: settling orders with credit on account.

use actix_web::web::Data;
use domain::Posted;
use domain::receivables::credit_on_account;
use domain::receivables::settlement::Target;
use entity::users::Role;
use entity::{Currency, CustomerId, Money, OrderId};
use serde::Serialize;
use utoipa::ToSchema;

use super::payments::{AccountSummaryView, AllocationRequest, AllocationView, MAX_ORDERS, orders};
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
    /// What credit on account is used for. It is used oldest credit first.
    #[example({"allocations": [{"order_id": "0190a5d4-7b1c-7000-8000-000000000002", "amount": "25.00"}]})]
    pub(super) struct AllocationsRequest {
        /// The orders, with how much for each. If left out, what is due for longest, as far as the credit goes.
        allocations: Option<List<AllocationRequest, 1, MAX_ORDERS>>,
    }
}

/// What was settled with credit on account.
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
