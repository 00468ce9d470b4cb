//! A row of a table of customers.

use domain::identity::customers::{CreditTerms, CustomerDetails, NewCustomer};
use entity::{Address, AddressKind, CustomerAddress, CustomerAddresses, Money};

use crate::schema::contact::{Country, Phone, VatNumber};
use crate::schema::csv_body::{Flag, RowFaults};
use crate::schema::text::{Email, Reference, Text, Whole};

crate::row! {
    /// A customer of a table.
    #[example("reference,name,email,credit_limit\nC-1001,Ada Lovelace,ada@example.com,1000.00\n")]
    pub(super) struct CustomerRow {
        /// The name on documents.
        name: Text<1, 200>,
        /// The email address for documents.
        email: Option<Email>,
        /// The customer's number in the books of the business. Unique in the business.
        reference: Option<Reference>,
        /// The person to talk to.
        contact: Option<Text<1, 200>>,
        /// The telephone number.
        phone: Option<Phone>,
        /// The VAT number. Spaces, dots and hyphens are ignored, as is the case of letters.
        vat_number: Option<VatNumber>,
        /// The most that the customer may owe; 0 if empty.
        credit_limit: Option<Money>,
        /// Days from a purchase until it is due; 30 if empty.
        payment_terms_days: Option<Whole<0, 365>>,
        /// Whether purchases are blocked; false if empty.
        on_hold: Option<Flag>,
        /// The name on the billing address; the customer's own name if empty.
        billing_name: Option<Text<1, 200>>,
        /// Street and house number of the billing address. Required if it has any other cell.
        billing_line1: Option<Text<1, 200>>,
        /// More of the billing address.
        billing_line2: Option<Text<1, 200>>,
        /// The postal code of the billing address.
        billing_postal_code: Option<Text<1, 20>>,
        /// The town or city of the billing address.
        billing_city: Option<Text<1, 100>>,
        /// The state, province or prefecture of the billing address.
        billing_region: Option<Text<1, 100>>,
        /// The two letters of the country of the billing address. Required if it has any other cell.
        billing_country: Option<Country>,
        /// The name on the delivery address; the customer's own name if empty.
        delivery_name: Option<Text<1, 200>>,
        /// Street and house number of the delivery address. Required if it has any other cell.
        delivery_line1: Option<Text<1, 200>>,
        /// More of the delivery address.
        delivery_line2: Option<Text<1, 200>>,
        /// The postal code of the delivery address.
        delivery_postal_code: Option<Text<1, 20>>,
        /// The town or city of the delivery address.
        delivery_city: Option<Text<1, 100>>,
        /// The state, province or prefecture of the delivery address.
        delivery_region: Option<Text<1, 100>>,
        /// The two letters of the country of the delivery address. Required if it has any other cell.
        delivery_country: Option<Country>,
    }
}

/// The cells of an address.
struct AddressCells<'a> {
    kind: AddressKind,
    /// The start of the columns' names.
    prefix: &'static str,
    name: Option<&'a Text<1, 200>>,
    line1: Option<&'a Text<1, 200>>,
    line2: Option<&'a Text<1, 200>>,
    postal_code: Option<&'a Text<1, 20>>,
    city: Option<&'a Text<1, 100>>,
    region: Option<&'a Text<1, 100>>,
    country: Option<&'a Country>,
}

impl AddressCells<'_> {
    fn is_empty(&self) -> bool {
        self.name.is_none()
            && self.line1.is_none()
            && self.line2.is_none()
            && self.postal_code.is_none()
            && self.city.is_none()
            && self.region.is_none()
            && self.country.is_none()
    }

    /// Reports the required cells that an address lacks.
    fn check(&self, faults: &mut RowFaults<'_>) {
        let required = [
            ("line1", self.line1.is_some()),
            ("country", self.country.is_some()),
        ];
        for (part, _) in required.iter().filter(|(_, is_given)| !is_given) {
            let column = format!("{}_{part}", self.prefix);
            faults.add(&column, "is required with the other cells of the address");
        }
    }

    /// The address; `None` if its cells are empty.
    fn address(&self) -> Option<CustomerAddress> {
        Some(CustomerAddress {
            kind: self.kind,
            address: Address {
                name: self.name.map(|text| text.0.clone()),
                line1: self.line1?.0.clone(),
                line2: self.line2.map(|text| text.0.clone()),
                postal_code: self.postal_code.map(|text| text.0.clone()),
                city: self.city.map(|text| text.0.clone()),
                region: self.region.map(|text| text.0.clone()),
                country: self.country?.0.clone(),
            },
        })
    }
}

impl CustomerRow {
    fn addresses(&self) -> [AddressCells<'_>; 2] {
        let billing = AddressCells {
            kind: AddressKind::Billing,
            prefix: "billing",
            name: self.billing_name.as_ref(),
            line1: self.billing_line1.as_ref(),
            line2: self.billing_line2.as_ref(),
            postal_code: self.billing_postal_code.as_ref(),
            city: self.billing_city.as_ref(),
            region: self.billing_region.as_ref(),
            country: self.billing_country.as_ref(),
        };
        let delivery = AddressCells {
            kind: AddressKind::Delivery,
            prefix: "delivery",
            name: self.delivery_name.as_ref(),
            line1: self.delivery_line1.as_ref(),
            line2: self.delivery_line2.as_ref(),
            postal_code: self.delivery_postal_code.as_ref(),
            city: self.delivery_city.as_ref(),
            region: self.delivery_region.as_ref(),
            country: self.delivery_country.as_ref(),
        };
        [billing, delivery]
    }

    /// Reports addresses that lack a required cell.
    pub(super) fn check(&self, faults: &mut RowFaults<'_>) {
        let addresses = self.addresses();
        let given = addresses.iter().filter(|address| !address.is_empty());
        given.for_each(|address| address.check(faults));
    }
}

impl From<CustomerRow> for NewCustomer {
    fn from(row: CustomerRow) -> Self {
        let addresses = row.addresses();
        let addresses = addresses.iter().filter_map(AddressCells::address);
        let addresses = CustomerAddresses(addresses.collect());
        Self {
            name: row.name.0,
            email: row.email.map(Email::into_string),
            details: CustomerDetails {
                reference: row.reference.map(|text| text.0),
                contact: row.contact.map(|text| text.0),
                phone: row.phone.map(|phone| phone.0),
                vat_number: row.vat_number.map(|number| number.0),
                addresses: Some(addresses).filter(|addresses| !addresses.0.is_empty()),
                metadata: None,
            },
            credit: CreditTerms {
                credit_limit: row.credit_limit,
                on_hold: row.on_hold.map(|flag| flag.0),
                payment_terms_days: row
                    .payment_terms_days
                    .and_then(|days| days.get().try_into().ok()),
            },
            self_registered: false,
        }
    }
}
