//! The tags of the OpenAPI document, which group the endpoints.

/// Declares the enum together with its table, so that every tag has a name and a description.
macro_rules! tags {
    ($($tag:ident $name:literal $about:literal;)*) => {
        /// A group of endpoints in the OpenAPI document and in the endpoint table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Tag {
            $(#[doc = $about] $tag,)*
        }

        impl Tag {
            /// The name, from which generated clients name modules and classes.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$tag => $name,)*
                }
            }

            /// The description of the group.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$tag => $about,)*
                }
            }
        }
    };
}

tags! {
    Authentication "Authentication" "Registration, logins, passwords and tokens.";
    Businesses "Businesses" "The businesses that use the service, and their settings.";
    Users "Users" "People who log in to a business.";
    ApiKeys "API keys" "Credentials of programs.";
    Customers "Customers" "Buyers and their credit limits.";
    Receivables "Receivables" "Accounts of customers: ledger, statements, aging, payments, credit notes and write-offs.";
    Reports "Reports" "Sales, receivables and stock in figures, by the days of the business.";
    Products "Products" "The catalogue and its availability.";
    Inventory "Inventory" "Stock on hand and its movements.";
    Sales "Sales" "Prices and limits that apply for a time.";
    Reservations "Reservations" "Stock that is held for a customer for a limited time, and the waitlist.";
    Orders "Orders" "Purchases on credit and by card, their fulfilment, cancellation and refunds.";
    Imports "Imports" "Customers, products and stock as CSV tables.";
    Audit "Audit" "Changes, with their time and author.";
    Webhooks "Webhooks" "Events that the payment provider sends.";
    Simulation "Payment simulation" "Outcomes of payments at the offline payment provider, from the service's own machine only.";
}
