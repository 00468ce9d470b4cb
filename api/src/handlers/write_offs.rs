//! `/api/orders/{order_id}/write-offs` and `/api/write-offs`: amounts due that a business gives up.

use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::receivables::write_offs::{self, NewWriteOff, WriteOff};
use domain::{Database, Paging};
use entity::users::Role;
use entity::{Currency, CustomerId, OrderId, OrderNumber, UserId, WriteOffId};
use serde::Serialize;
use utoipa::ToSchema;

use super::documents::{self, DocumentView, ReversalRequest, WithBalance};
use super::orders::about;
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

const ADMIN: &[Role] = &[Role::Admin];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(
            "createWriteOff",
            "/api/orders/{order_id}/write-offs",
            create,
        )
        .summary("Write off the amount due on an order, or a part of it")
        .for_roles(ADMIN)
        .body::<WriteOffRequest>()
        .created::<WithBalance<WriteOffView>>()
        .codes(&[
            Code::OrderNotFound,
            Code::Overpayment,
            Code::CreditableAmountExceeded,
            Code::OrderCancelled,
            Code::AmountTooLarge,
        ])
        .idempotent(),
        Endpoint::get("listWriteOffs", "/api/write-offs", list)
            .summary("List write-offs, the newest first")
            .for_roles(&[Role::Admin, Role::Staff])
            .about_orders()
            .paged()
            .ok::<Page<WriteOffView>>(),
        Endpoint::get("getWriteOff", "/api/write-offs/{write_off_id}", read)
            .summary("Read a write-off")
            .for_roles(&[Role::Admin, Role::Staff])
            .ok::<WriteOffView>()
            .codes(&[Code::NotFound]),
        Endpoint::post(
            "reverseWriteOff",
            "/api/write-offs/{write_off_id}/reverse",
            reverse,
        )
        .summary("Reverse a write-off: its amount is due again")
        .for_roles(ADMIN)
        .body::<ReversalRequest>()
        .created::<WithBalance<WriteOffView>>()
        .codes(&[
            Code::NotFound,
            Code::AlreadyReversed,
            Code::CreditPaidOut,
            Code::OrderCancelled,
            Code::AmountTooLarge,
        ])
        .idempotent(),
    ]
}

crate::body! {
    /// A new write-off.
    #[example({"reason": "the customer is insolvent"})]
    pub(crate) struct WriteOffRequest {
        /// The amount to write off; all that is due if left out.
        amount: Option<Positive>,
        /// The reason, as shown on statements.
        reason: Text<1, 500>,
    }
}

/// A write-off.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"amount": "25.00", "reason": "the customer is insolvent"}))]
pub(super) struct WriteOffView {
    write_off_id: WriteOffId,
    order_id: OrderId,
    order_number: OrderNumber,
    customer_id: CustomerId,
    amount: Amount,
    currency: Currency,
    reason: String,
    /// The user or API key that entered it.
    created_by: UserId,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
    /// When it was reversed; null if it is not.
    #[serde(serialize_with = "text::optional_time")]
    reversed_at: Option<DateTime<Utc>>,
    reversal_reason: Option<String>,
}

impl DocumentView for WriteOffView {
    type Document = WriteOff;

    fn of(view: &WriteOff, currency: Currency) -> Self {
        let write_off = &view.write_off;
        let reversal = view.reversal.as_ref();
        Self {
            write_off_id: write_off.id,
            order_id: write_off.order_id,
            order_number: OrderNumber::of(write_off.order_id),
            customer_id: write_off.customer_id,
            amount: Amount::of(write_off.amount, currency),
            currency,
            reason: write_off.reason.clone(),
            created_by: write_off.created_by,
            created_at: write_off.created_at,
            reversed_at: reversal.map(|reversal| reversal.at),
            reversal_reason: reversal.map(|reversal| reversal.reason.clone()),
        }
    }

    fn location(document: &WriteOff) -> String {
        format!("/api/write-offs/{}", document.write_off.id)
    }
}

impl WriteOffRequest {
    /// The input of the domain.
    pub(crate) fn write_off(self, order_id: OrderId) -> NewWriteOff {
        NewWriteOff {
            order_id,
            amount: self.amount.map(|amount| amount.0),
            reason: self.reason.0,
        }
    }
}

async fn create(
    state: Data<State>,
    caller: Authenticated,
    id: Id<OrderId>,
    request: Json<WriteOffRequest>,
) -> Response {
    let new = request.body.write_off(id.0);
    let render = documents::render::<WriteOffView>(&caller);
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(write_offs::create(&state.database, &write, &new).await)
}

async fn list(lists: Listing, caller: Authenticated, mut query: Query) -> Response {
    let filter = about(&mut query);
    let currency = caller.currency;
    let read = async move |database: &Database, paging: &Paging<WriteOffId>| {
        write_offs::list(database, &caller, &filter, paging).await
    };
    let view = move |row| WriteOffView::of(&row, currency);
    lists.answer(query, currency, read, view).await
}

async fn read(state: Data<State>, caller: Authenticated, id: Id<WriteOffId>) -> Response {
    let write_off = write_offs::read(&state.database, &caller, id.0).await;
    caller.answer(write_off.map(|write_off| View(WriteOffView::of(&write_off, caller.currency))))
}

async fn reverse(
    state: Data<State>,
    caller: Authenticated,
    id: Id<WriteOffId>,
    request: Json<ReversalRequest>,
) -> Response {
    let render = documents::render::<WriteOffView>(&caller);
    let write = caller.write(request.key.as_ref(), &render);
    caller.answer(write_offs::reverse(&state.database, &write, id.0, &request.body.reason.0).await)
}
