//! `/shop/{business}`: the store of a business.

mod account;
mod addresses;
mod cart;
mod catalogue;
mod checkout;
mod held;
mod login;
mod orders;
mod pay;
mod pictures;
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
        pictures::endpoints(),
        login::endpoints(),
        cart::endpoints(),
        checkout::endpoints(),
        orders::endpoints(),
        pay::endpoints(),
        reservations::endpoints(),
        held::endpoints(),
        account::endpoints(),
        addresses::endpoints(),
    ];
    all.into_iter().flatten().collect()
}
