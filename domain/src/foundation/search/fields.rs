//! The fields by which the rows of each table are found.

use entity::search_terms::Kind;
use entity::{CustomerId, OrderId, PaymentId, ProductId, customers};

use super::NewTerm;
use super::terms::{self, Terms};

/// A customer: name, email address, reference, VAT number and telephone number.
pub(crate) fn customer(customer: &customers::Model) -> impl Iterator<Item = NewTerm> + use<> {
    let mut all = Terms::default();
    all.add_words(&customer.name);
    if let Some(email) = &customer.email {
        all.add_email(email);
    }
    for code in [&customer.reference, &customer.vat_number]
        .into_iter()
        .flatten()
    {
        all.add_code(code);
    }
    if let Some(phone) = &customer.phone {
        all.add_phone(phone);
    }
    let CustomerId(id) = customer.id;
    let name = NewTerm {
        kind: Kind::CustomerName,
        term: terms::sort_key(&customer.name),
        entity_id: id,
    };
    NewTerm::all(Kind::Customer, id, all).chain([name])
}

/// An order: the buyer's reference and the tracking reference. Its number is a range of ids, and its customer and
/// products have terms of their own.
pub(crate) fn order(
    OrderId(id): OrderId,
    references: [Option<&str>; 2],
) -> impl Iterator<Item = NewTerm> + use<> {
    NewTerm::all(Kind::Order, id, codes(references))
}

/// A payment: its reference.
pub(crate) fn payment(
    PaymentId(id): PaymentId,
    reference: Option<&str>,
) -> impl Iterator<Item = NewTerm> + use<> {
    NewTerm::all(Kind::Payment, id, codes([reference]))
}

/// A product: its SKU. Orders are found by it; the list of products reads the rows.
pub(crate) fn product(
    ProductId(id): ProductId,
    sku: &str,
) -> impl Iterator<Item = NewTerm> + use<> {
    NewTerm::all(Kind::Product, id, codes([Some(sku)]))
}

fn codes<'a>(codes: impl IntoIterator<Item = Option<&'a str>>) -> Terms {
    let mut all = Terms::default();
    for code in codes.into_iter().flatten() {
        all.add_code(code);
    }
    all
}
