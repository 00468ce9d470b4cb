//! `/api/refunds`: the refunds of all orders.

use actix_web::web::Data;
use domain::orders::refunds;
use entity::users::Role;
use entity::{Currency, OrderId, refunds as rows};
use serde::Serialize;
use utoipa::ToSchema;

use super::orders::{RefundView, about};
use crate::access::Authenticated;
use crate::schema::endpoint::Endpoint;
use crate::schema::query::{Page, Query};
use crate::schema::response::{Response, View};
use crate::state::State;

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
    currency: Currency,
}

impl ListedRefundView {
    fn of(refund: &rows::Model, currency: Currency) -> Self {
        Self {
            refund: RefundView::of(refund, currency),
            order_id: refund.order_id,
            currency,
        }
    }
}

async fn list(state: Data<State>, caller: Authenticated, mut query: Query) -> Response {
    let filter = about(&mut query);
    let paging = query.paging();
    query.finish()?;
    let page = refunds::list(&state.database, &caller, &filter, &paging).await;
    caller.answer(page.map(|page| {
        View(Page::of(page, |row| {
            ListedRefundView::of(&row, caller.currency)
        }))
    }))
}
