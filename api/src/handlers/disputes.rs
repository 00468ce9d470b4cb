//! `/api/disputes`: the disputes of all orders.

use actix_web::web::Data;
use domain::orders::disputes;
use entity::users::Role;
use entity::{Currency, OrderId, disputes as rows};
use serde::Serialize;
use utoipa::ToSchema;

use super::orders::{DisputeView, about};
use crate::access::Authenticated;
use crate::schema::endpoint::Endpoint;
use crate::schema::query::{Page, Query};
use crate::schema::response::{Response, View};
use crate::state::State;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("listDisputes", "/api/disputes", list)
            .summary("List disputes of card payments, the newest first")
            .for_roles(&[Role::Admin, Role::Staff])
            .about_orders()
            .paged()
            .ok::<Page<ListedDisputeView>>(),
    ]
}

/// A dispute of a list.
#[derive(Debug, Serialize, ToSchema)]
struct ListedDisputeView {
    #[serde(flatten)]
    dispute: DisputeView,
    order_id: OrderId,
    currency: Currency,
}

impl ListedDisputeView {
    fn of(dispute: &rows::Model, currency: Currency) -> Self {
        Self {
            dispute: DisputeView::of(dispute, currency),
            order_id: dispute.order_id,
            currency,
        }
    }
}

async fn list(state: Data<State>, caller: Authenticated, mut query: Query) -> Response {
    let filter = about(&mut query);
    let paging = query.paging();
    query.finish()?;
    let page = disputes::list(&state.database, &caller, &filter, &paging).await;
    caller.answer(page.map(|page| {
        View(Page::of(page, |row| {
            ListedDisputeView::of(&row, caller.currency)
        }))
    }))
}
