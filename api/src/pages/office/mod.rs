//! `/office/{business}`: the back office of a business, for its admins and staff.

mod dashboard;
mod frame;
mod list_state;
mod login;
mod operations;
mod order;
mod order_actions;
mod order_row;
mod orders;
mod shipping;

use entity::users::Role;

use crate::schema::endpoint::Endpoint;

/// The roles that read the pages of the back office.
const STAFF: &[Role] = &[Role::Admin, Role::Staff];

/// All pages and actions.
#[must_use]
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let all = [
        login::endpoints(),
        dashboard::endpoints(),
        orders::endpoints(),
        order::endpoints(),
        order_actions::endpoints(),
        shipping::endpoints(),
    ];
    all.into_iter().flatten().collect()
}
