//! `/api/disputes`: the disputes of all orders.

use domain::orders::disputes;
use domain::{Database, Paging};
use entity::users::Role;
use entity::{Currency, DisputeId, OrderId, OrderNumber, disputes as rows};
use serde::Serialize;
use utoipa::ToSchema;

use super::orders::{DisputeView, about};
use crate::access::Authenticated;
use crate::http::listing::Listing;
use crate::schema::endpoint::Endpoint;
use crate::schema::query::{Page, Query};
use crate::schema::response::Response;

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
    order_number: OrderNumber,
    currency: Currency,
}

impl ListedDisputeView {
    fn of(dispute: &rows::Model, currency: Currency) -> Self {
        Self {
            dispute: DisputeView::of(dispute, currency),
            order_id: dispute.order_id,
            order_number: OrderNumber::of(dispute.order_id),
            currency,
        }
    }
}

async fn list(lists: Listing, caller: Authenticated, mut query: Query) -> Response {
    let filter = about(&mut query);
    let currency = caller.currency;
    let read = async move |database: &Database, paging: &Paging<DisputeId>| {
        disputes::list(database, &caller, &filter, paging).await
    };
    let view = move |row| ListedDisputeView::of(&row, currency);
    lists.answer(query, currency, read, view).await
}
