//! A new address of the customer, or a change to one.

use askama::Template;
use entity::{Address, AddressKind, CustomerAddress};

use crate::{Form, Layout};

/// The page that adds, changes or removes one address.
///
/// Field names of its form: `number` (the place of the address in the list, from 0; none for a new one), `kind` and the
/// members of an address, and `replaces/N/…`, the addresses as the page has read them.
#[derive(Debug, Template)]
#[template(path = "shop/address.html")]
pub struct AddressPage {
    pub layout: Layout,
    pub form: Form,
    /// The place of the address in the list; `None` for a new one.
    pub number: Option<usize>,
    /// The customer's addresses.
    pub addresses: Vec<CustomerAddress>,
}

impl AddressPage {
    fn title(&self) -> &'static str {
        match self.number {
            Some(_) => "Change an address",
            None => "Add an address",
        }
    }

    fn is_billing(&self) -> bool {
        self.form.value("kind") == kind(AddressKind::Billing)
    }

    /// The hidden fields that repeat the addresses: names and values.
    fn replaced(&self) -> Vec<(String, String)> {
        hidden("replaces", self.addresses.iter().map(address_members))
    }
}

/// The text of a use in forms, as the API has it.
fn kind(kind: AddressKind) -> &'static str {
    match kind {
        AddressKind::Billing => "billing",
        AddressKind::Delivery => "delivery",
    }
}

/// The hidden fields of a form that repeat a list: the name and the value of each member.
pub(crate) fn hidden(list: &str, rows: impl IntoIterator<Item = Members>) -> Vec<(String, String)> {
    let rows = rows.into_iter().enumerate();
    let fields = rows.flat_map(|(number, members)| {
        let members = members.into_iter();
        members.map(move |(member, value)| (format!("{list}/{number}/{member}"), value))
    });
    fields.collect()
}

/// Members with their values, by the names that they have in the API. Those without a value are left out.
pub(crate) type Members = Vec<(&'static str, String)>;

/// The members of an address.
pub(crate) fn parts(address: &Address) -> Members {
    let members = [
        ("name", address.name.as_deref()),
        ("line1", Some(address.line1.as_str())),
        ("line2", address.line2.as_deref()),
        ("postal_code", address.postal_code.as_deref()),
        ("city", address.city.as_deref()),
        ("region", address.region.as_deref()),
        ("country", Some(address.country.as_str())),
    ];
    let members = members.into_iter();
    members
        .filter_map(|(name, value)| Some((name, value?.to_owned())))
        .collect()
}

/// The members of an address of a customer.
#[must_use]
pub fn address_members(one: &CustomerAddress) -> Members {
    let mut members = parts(&one.address);
    members.push(("kind", kind(one.kind).to_owned()));
    members
}
