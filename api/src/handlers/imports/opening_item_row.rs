//! A row of a table of opening balances.

use chrono::NaiveDate;
use domain::receivables::opening_items::{NamedCustomer, OpeningItem};

use crate::schema::csv_body::{RowFaults, SignedMoney};
use crate::schema::text::{Email, Reference, Text};

crate::row! {
    /// A document from before the business used the service, as far as it is not paid.
    #[example("customer_reference,reference,amount,issued_on,due_on\nC-1001,INV-2041,250.00,2026-09-01,2026-10-01\n")]
    pub(super) struct OpeningItemRow {
        /// The customer's number in the books of the business. This cell or `customer_email` is required, not both.
        customer_reference: Option<Reference>,
        /// The email address of the customer. Customers who registered themselves are not found by it.
        customer_email: Option<Email>,
        /// The number of the document. Each customer has it once.
        reference: Reference,
        /// The part that is not paid. Negative for a credit, such as a prepayment.
        amount: SignedMoney,
        /// The date of the document, today at the latest.
        issued_on: NaiveDate,
        /// The day on which the amount is due; if empty, by the customer's payment terms. Not used for a credit.
        due_on: Option<NaiveDate>,
        /// A remark.
        note: Option<Text<1, 500>>,
    }
}

impl OpeningItemRow {
    /// Reports cells that conflict with each other.
    pub(super) fn check(&self, faults: &mut RowFaults<'_>) {
        match (&self.customer_reference, &self.customer_email) {
            (None, None) => faults.add("customer_reference", "or customer_email is required"),
            (Some(_), Some(_)) => {
                faults.add("customer_email", "must be empty beside customer_reference");
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
        if self.due_on.is_some_and(|due_on| due_on < self.issued_on) {
            faults.add("due_on", "must not be before issued_on");
        }
    }
}

impl From<OpeningItemRow> for OpeningItem {
    fn from(row: OpeningItemRow) -> Self {
        let email = row.customer_email.map(Email::into_string);
        let customer = match row.customer_reference {
            Some(reference) => NamedCustomer::Reference(reference.0),
            // The check of the row has refused a row with neither.
            None => NamedCustomer::Email(email.unwrap_or_default()),
        };
        Self {
            customer,
            reference: row.reference.0,
            amount: row.amount.get(),
            issued_on: row.issued_on,
            due_on: row.due_on,
            note: row.note.map(|note| note.0),
        }
    }
}
