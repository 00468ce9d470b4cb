//! `/api/orders`: what was sold, and cancelling it.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use domain::orders::{self, Filter, Order};
use entity::orders::{PaymentMethod, Status};
use entity::users::Role;
use entity::{Currency, CustomerId, OrderId};
use serde::Serialize;
use utoipa::ToSchema;

use super::purchase::SoldView;
use super::{Response, done};
use crate::access::Signed;
use crate::body::Bare;
use crate::endpoint::Endpoint;
use crate::idempotency;
use crate::path::Id;
use crate::problem::Code;
use crate::query::{Page, Query};
use crate::service::State;
use crate::text::{self, Amount};

const EVERYONE: &[Role] = &[Role::Admin, Role::Staff, Role::Customer];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/orders", list)
            .summary("List orders, the newest first; a customer sees its own")
            .for_roles(EVERYONE)
            .query::<Status>("status", "With this status.")
            .query::<CustomerId>("customer_id", "Of this customer.")
            .query::<PaymentMethod>("payment_method", "Paid for like this.")
            .query::<DateTime<Utc>>("created_from", "Made then or later.")
            .query::<DateTime<Utc>>("created_to", "Made before then.")
            .paged()
            .ok::<Page<OrderView>>(),
        Endpoint::get("/api/orders/my-orders", my_orders)
            .summary("List the customer's own orders, the newest first")
            .for_roles(&[Role::Customer])
            .paged()
            .ok::<Page<OrderView>>(),
        Endpoint::get("/api/orders/{id}", read)
            .summary("Read an order with its lines; a customer may read its own")
            .for_roles(EVERYONE)
            .ok::<OrderWithItems>()
            .codes(&[Code::OrderNotFound]),
        Endpoint::post("/api/orders/{id}/cancel", cancel)
            .summary(
                "Cancel an order on credit; a customer may cancel its own of which nothing is paid",
            )
            .for_roles(EVERYONE)
            .ok::<OrderWithItems>()
            .codes(&[Code::OrderNotFound, Code::InvalidTransition, Code::Conflict])
            .idempotent(),
    ]
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrderView {
    order_id: OrderId,
    status: Status,
    payment_method: PaymentMethod,
    currency: Currency,
    customer_id: CustomerId,
    total_amount: Amount,
    amount_paid: Amount,
    amount_credited: Amount,
    amount_due: Amount,
    #[serde(serialize_with = "text::time")]
    due_at: DateTime<Utc>,
    #[serde(serialize_with = "text::time")]
    created_at: DateTime<Utc>,
}

/// An order with its lines.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrderWithItems {
    #[serde(flatten)]
    order: OrderView,
    items: Vec<SoldView>,
}

impl OrderView {
    fn of(order: &entity::orders::Model, currency: Currency) -> Self {
        let amount = |money| Amount::of(money, currency);
        Self {
            order_id: order.id,
            status: order.status,
            payment_method: order.payment_method,
            currency,
            customer_id: order.customer_id,
            total_amount: amount(order.total_amount),
            amount_paid: amount(order.amount_paid()),
            amount_credited: amount(order.amount_credited),
            amount_due: amount(order.amount_due),
            due_at: order.due_at,
            created_at: order.created_at,
        }
    }
}

impl OrderWithItems {
    fn of(found: &Order, currency: Currency) -> Self {
        let items = found.items.iter().map(|item| SoldView {
            product_id: item.product_id,
            sku: item.sku.clone(),
            name: item.name.clone(),
            quantity: item.quantity,
            unit_price: Amount::of(item.unit_price, currency),
            line_total: Amount::of(item.line_total, currency),
        });
        Self {
            order: OrderView::of(&found.order, currency),
            items: items.collect(),
        }
    }
}

async fn list(state: Data<State>, caller: Signed, mut query: Query) -> Response {
    let filter = Filter {
        status: query.take("status"),
        customer_id: query.take("customer_id"),
        payment_method: query.take("payment_method"),
        created_from: query.take("created_from"),
        created_to: query.take("created_to"),
    };
    page(&state, &caller, &filter, query).await
}

async fn my_orders(state: Data<State>, caller: Signed, query: Query) -> Response {
    page(&state, &caller, &Filter::default(), query).await
}

/// A page of the orders that the caller may see.
async fn page(state: &State, caller: &Signed, filter: &Filter, mut query: Query) -> Response {
    let paging = query.paging();
    query.finish()?;
    let page = orders::list(&state.database, caller, filter, &paging)
        .await
        .map_err(|error| caller.problem(error))?;
    Ok(HttpResponse::Ok().json(Page::of(page, |order| {
        OrderView::of(&order, caller.currency)
    })))
}

async fn read(state: Data<State>, caller: Signed, id: Id<OrderId>) -> Response {
    let order = orders::read(&state.database, &caller, id.0)
        .await
        .map_err(|error| caller.problem(error))?;
    Ok(HttpResponse::Ok().json(OrderWithItems::of(&order, caller.currency)))
}

async fn cancel(state: Data<State>, caller: Signed, id: Id<OrderId>, request: Bare) -> Response {
    orders::cancel(
        &state.database,
        &caller,
        request.claim.as_ref(),
        id.0,
        |order| done(&OrderWithItems::of(order, caller.currency)),
    )
    .await
    .map(idempotency::response)
    .map_err(|error| caller.problem(error))
}
