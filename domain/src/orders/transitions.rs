//! The transitions of orders: one table, from which the decisions here, the diagram in docs/api.md and the tests are
//! derived.

use entity::orders::{PaymentMethod, Status};
use entity::users::Role;

use crate::Error;

/// The actors that may move an order from one status to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The desk, in the transaction that creates the order.
    Desk,
    /// The service, after the payment provider reported a change, or when a deadline has passed.
    Service,
    /// Staff and admins.
    Staff,
    /// Admins only, because money is refunded.
    Admin,
    /// Staff, admins, and the order's own customer while nothing is paid.
    StaffOrCustomer,
}

impl Who {
    /// Whether a caller with this role may make the transition.
    #[must_use]
    pub fn includes(self, role: Role) -> bool {
        match self {
            Self::Desk | Self::Service => false,
            Self::Staff => role != Role::Customer,
            Self::Admin => role == Role::Admin,
            Self::StaffOrCustomer => true,
        }
    }
}

/// A transition from one status to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The status before.
    pub from: Status,
    /// The status after.
    pub to: Status,
    /// The payment method of the orders that it applies to.
    pub of: PaymentMethod,
    /// The actors that may make it.
    pub who: Who,
    /// Its effect on stock, as docs/api.md shows it.
    pub stock: &'static str,
    /// Its effect on the customer's credit, as docs/api.md shows it.
    pub credit: &'static str,
    /// Its effect on money, as docs/api.md shows it.
    pub money: &'static str,
}

/// A row of [`TABLE`].
macro_rules! transition {
    ($of:ident: $from:ident to $to:ident, $who:ident, $stock:literal, $credit:literal, $money:literal) => {
        Transition {
            from: Status::$from,
            to: Status::$to,
            of: PaymentMethod::$of,
            who: Who::$who,
            stock: $stock,
            credit: $credit,
            money: $money,
        }
    };
}

/// All transitions. Any other change of status is rejected.
pub const TABLE: &[Transition] = &[
    transition!(Credit: Created to Approved, Desk, "decremented", "charged", "credit on account settles it"),
    transition!(Credit: Approved to Fulfilled, Staff, "", "", ""),
    transition!(Credit: Approved to Cancelled, StaffOrCustomer, "restocked", "charge reversed",
        "payments become credit on account"),
    transition!(Card: Created to PaymentPending, Service, "", "", "intent made"),
    transition!(Card: Created to Cancelled, StaffOrCustomer, "hold released", "", "intent cancelled"),
    transition!(Card: PaymentPending to Paid, Service, "hold becomes a sale", "", "received"),
    transition!(Card: PaymentPending to Cancelled, StaffOrCustomer, "hold released", "", "intent cancelled"),
    transition!(Card: Paid to Fulfilled, Staff, "", "", ""),
    transition!(Card: Paid to Cancelled, Admin, "restocked", "", "the remainder is refunded"),
];

/// The transition between two statuses for a payment method. Ignores roles, because the service itself may make every
/// transition.
///
/// # Errors
/// [`Error::InvalidTransition`].
pub fn find(of: PaymentMethod, from: Status, to: Status) -> Result<&'static Transition, Error> {
    TABLE
        .iter()
        .find(|one| one.of == of && one.from == from && one.to == to)
        .ok_or(Error::InvalidTransition { from, to })
}

/// Like [`find`], for a caller with this role.
///
/// # Errors
/// [`Error::InvalidTransition`]; [`Error::Forbidden`].
pub fn find_for(
    role: Role,
    of: PaymentMethod,
    from: Status,
    to: Status,
) -> Result<&'static Transition, Error> {
    let transition = find(of, from, to)?;
    if transition.who.includes(role) {
        Ok(transition)
    } else {
        Err(Error::Forbidden)
    }
}

/// The table as docs/api.md shows it: a Mermaid diagram and the effects of each transition.
#[must_use]
pub fn described() -> String {
    let name = |status: Status| {
        serde_json::to_value(status)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    };
    let mut lines = vec!["```mermaid".to_owned(), "stateDiagram-v2".to_owned()];
    let method = |of: PaymentMethod| match of {
        PaymentMethod::Credit => "credit",
        PaymentMethod::Card => "card",
    };
    lines.push("    [*] --> created".to_owned());
    for one in TABLE {
        let (from, to) = (name(one.from), name(one.to));
        lines.push(format!("    {from} --> {to}: {}", method(one.of)));
    }
    lines.push("```".to_owned());
    lines.push(String::new());
    lines.push("| order | from | to | who | stock | credit | money |".to_owned());
    lines.push("| --- | --- | --- | --- | --- | --- | --- |".to_owned());
    for one in TABLE {
        let who = match one.who {
            Who::Desk => "the desk",
            Who::Service => "the service",
            Who::Staff => "staff",
            Who::Admin => "an admin",
            Who::StaffOrCustomer => "staff; its customer while nothing is paid",
        };
        let cells = [
            method(one.of),
            &name(one.from),
            &name(one.to),
            who,
            one.stock,
            one.credit,
            one.money,
        ]
        .map(|cell| {
            if cell.is_empty() {
                "–".to_owned()
            } else {
                cell.to_owned()
            }
        });
        lines.push(format!("| {} |", cells.join(" | ")));
    }
    lines.join("\n")
}
