//! `/api/refunds`: the refunds of all orders.

use domain::orders::refunds;
use domain::{Database, Paging};
use entity::users::Role;
use entity::{Currency, OrderId, OrderNumber, RefundId, refunds as rows};
use serde::Serialize;
use utoipa::ToSchema;

use super::orders::{RefundView, about};
use crate::access::Authenticated;
use crate::http::listing::Listing;
use crate::schema::endpoint::Endpoint;
use crate::schema::query::{Page, Query};
use crate::schema::response::Response;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listRefunds", "/api/refunds", list)
            .summary("List refunds of card payments, the newest first")
            .for_roles(&[Role::Admin, Role::Staff])
            .about_orders()
            .paged()
            .ok::<Page<ListedRefundView>>(),
    ]
}

/// A refund of a list.
#[derive(Debug, Serialize, ToSchema)]
struct ListedRefundView {
    #[serde(flatten)]
    refund: RefundView,
    order_id: OrderId,
    order_number: OrderNumber,
    currency: Currency,
}

impl ListedRefundView {
    fn of(refund: &rows::Model, currency: Currency) -> Self {
        Self {
            refund: RefundView::of(refund, currency),
            order_id: refund.order_id,
            order_number: OrderNumber::of(refund.order_id),
            currency,
        }
    }
}

async fn list(lists: Listing, caller: Authenticated, mut query: Query) -> Response {
    let filter = about(&mut query);
    let currency = caller.currency;
    let read = async move |database: &Database, paging: &Paging<RefundId>| {
        refunds::list(database, &caller, &filter, paging).await
    };
    let view = move |row| ListedRefundView::of(&row, currency);
    lists.answer(query, currency, read, view).await
}
