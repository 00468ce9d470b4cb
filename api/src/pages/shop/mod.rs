//! `/shop/{business}`: the store of a business.

mod account;
mod cart;
mod catalogue;
mod checkout;
mod held;
mod login;
mod orders;
mod pay;
mod reservations;
mod stock;

use crate::pages::start;
use crate::schema::endpoint::Endpoint;

/// All pages and actions.
#[must_use]
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let all = [
        start::endpoints(),
        catalogue::endpoints(),
        stock::endpoints(),
        login::endpoints(),
        cart::endpoints(),
        checkout::endpoints(),
        orders::endpoints(),
        pay::endpoints(),
        reservations::endpoints(),
        account::endpoints(),
    ];
    all.into_iter().flatten().collect()
}
