//! Statuses, reasons and refusals in plain English.

use entity::orders::{Attention, CancelReason, PaymentMethod, Status};
use entity::reservations::Status as ReservationStatus;

/// A status for people: its words, an icon, and how it looks (`good`, `warn`, `bad` or `calm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusText {
    pub text: &'static str,
    pub icon: &'static str,
    pub tone: &'static str,
}

const fn status_text(text: &'static str, icon: &'static str, tone: &'static str) -> StatusText {
    StatusText { text, icon, tone }
}

/// The status of an order.
#[must_use]
pub fn order_status(status: Status) -> StatusText {
    match status {
        Status::Created => status_text("Being prepared", "hourglass", "calm"),
        Status::PaymentPending => status_text("Waiting for payment", "credit-card", "warn"),
        Status::Approved => status_text("Confirmed", "circle-check", "good"),
        Status::Paid => status_text("Paid", "circle-check", "good"),
        Status::Fulfilled => status_text("Shipped", "truck", "good"),
        Status::Cancelled => status_text("Cancelled", "ban", "bad"),
    }
}

/// The status of a reservation.
#[must_use]
pub fn reservation_status(status: ReservationStatus) -> StatusText {
    match status {
        ReservationStatus::Active => status_text("Held for you", "clock", "good"),
        ReservationStatus::Waiting => status_text("In line", "hourglass", "warn"),
        ReservationStatus::Confirmed => status_text("Ordered", "circle-check", "good"),
        ReservationStatus::Cancelled => status_text("Released", "ban", "calm"),
        ReservationStatus::Expired => status_text("Time has passed", "hourglass", "calm"),
        ReservationStatus::SoldOut => status_text("Sold out", "ban", "bad"),
    }
}

/// Why an order needs a person's attention.
#[must_use]
pub fn attention(reason: Attention) -> &'static str {
    match reason {
        Attention::PaymentMismatched => "The payment differs from the order",
        Attention::RefundFailed => "A refund failed",
        Attention::DisputeOpen => "The payment is disputed",
        Attention::DisputeLost => "A dispute was lost",
    }
}

/// The payment method of an order.
#[must_use]
pub fn payment_method(method: PaymentMethod) -> &'static str {
    match method {
        PaymentMethod::Credit => "On credit",
        PaymentMethod::Card => "By card",
    }
}

/// Why an order was cancelled.
#[must_use]
pub fn cancel_reason(reason: CancelReason) -> &'static str {
    match reason {
        CancelReason::Requested => "It was cancelled on request.",
        CancelReason::PaymentExpired => "It was not paid in time, so its stock was released.",
        CancelReason::PaymentRefused => "The payment provider refused the payment.",
        CancelReason::PaymentCancelled => "The payment was cancelled at the payment provider.",
        CancelReason::StockGone => {
            "The payment arrived after the stock was sold to others. The payment is refunded."
        }
        CancelReason::PaidTooLate => {
            "The payment arrived after the order was cancelled. The payment is refunded."
        }
    }
}

/// The label of a form's field, by the name that it has in the API.
#[must_use]
pub fn field(name: &str) -> &str {
    match name.rsplit('/').next().unwrap_or(name) {
        "email" => "Email address",
        "password" => "Password",
        "old" => "Current password",
        "new" => "New password",
        "code" => "Reset code",
        "name" if name.contains('/') => "Recipient",
        "kind" => "Use",
        "name" => "Your name",
        "quantity" => "Quantity",
        "product_id" => "Product",
        "reference" => "Your order number",
        "note" => "Note to the seller",
        "line1" => "Street and number",
        "line2" => "Apartment, floor or building",
        "postal_code" => "Postal code",
        "city" => "Town or city",
        "region" => "State or province",
        "country" => "Country code",
        "payment_method" => "Payment",
        "amount" => "Amount",
        "reason" => "Reason",
        "items" => "Items",
        "scope" => "What",
        "created_from" => "From day",
        "created_to" => "To day",
        "total_min" => "Total from",
        "total_max" => "Total to",
        "unpaid" => "Unpaid",
        "overdue" => "Past due",
        "attention" => "Needs attention",
        "status" => "Status",
        "sort" => "Sorted by",
        "cursor" => "Page",
        "q" => "Search",
        "customer_id" => "Customer",
        "orders" => "Orders",
        "tracking_reference" => "Tracking number",
        "from" => "From",
        "to" => "To",
        "business" => "Business",
        _ => name,
    }
}

/// The browser and the system that a `User-Agent` names: `Firefox on Linux`. Empty if it names neither.
#[must_use]
pub fn device(user_agent: &str) -> String {
    // Most browsers also name those that they resemble, so the order matters.
    const BROWSERS: [(&str, &str); 6] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 7] = [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let named = |names: &[(&str, &'static str)]| {
        let found = names.iter().find(|(mark, _)| user_agent.contains(mark));
        found.map(|(_, name)| *name)
    };
    match (named(&BROWSERS), named(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => String::new(),
    }
}

/// The title and the advice for an HTTP status. `None` for statuses whose cause differs from case to case.
#[must_use]
pub fn failure(status: u16) -> Option<(&'static str, &'static str)> {
    let words = match status {
        404 => (
            "This page does not exist",
            "The link may be old, or the address has a typo.",
        ),
        405 => (
            "This page cannot be opened that way",
            "Go back, and use the buttons of the page.",
        ),
        413 => ("This is too much at once", "Send less, in several parts."),
        429 => ("Too many attempts", "Wait a minute, then try again."),
        500 => (
            "Something went wrong on our side",
            "Look at your orders before you try again. If it happens again, please tell us.",
        ),
        503 => (
            "The store is very busy",
            "Nothing was changed. Try again in a few seconds.",
        ),
        _ => return None,
    };
    Some(words)
}

/// The code of an error of the API, what happened in a few words, and what can be done.
const REFUSALS: [(&str, &str, &str); 24] = [
    (
        "invalid_credentials",
        "Email address or password is wrong",
        "Check both. If you no longer know your password, ask the business for a reset code.",
    ),
    (
        "already_exists",
        "This email address already has an account",
        "Log in with it, or register another address.",
    ),
    (
        "addresses_changed",
        "Your addresses have changed in the meantime",
        "Nothing was saved. The page shows your addresses as they are now, and what you typed. Check both, then save \
         again.",
    ),
    (
        "insufficient_stock",
        "There is not enough stock",
        "Nothing was ordered. The lines below show what is left.",
    ),
    (
        "sold_out",
        "Sold out",
        "Nothing was ordered. No units are left.",
    ),
    (
        "credit_limit_exceeded",
        "This order exceeds your credit limit",
        "Nothing was ordered. Order less, pay by card, or pay what is due first.",
    ),
    (
        "customer_on_hold",
        "Sales to your account are stopped",
        "Nothing was ordered. The business can tell you why and what to do.",
    ),
    (
        "customer_overdue",
        "An order of yours is past due",
        "Nothing was ordered. New orders on credit are possible once it is paid.",
    ),
    (
        "price_changed",
        "A price has changed",
        "Nothing was ordered. The page shows the current prices. Check them, then order again.",
    ),
    (
        "prices_differ",
        "Not all units have the sale's price",
        "Nothing was ordered. The sale's price holds for a limited number of units. Order fewer.",
    ),
    (
        "purchase_limit_reached",
        "You have reached the limit for this product",
        "Nothing was ordered. Each customer can buy a limited number of units.",
    ),
    (
        "hold_limit_exceeded",
        "You hold too much at once",
        "Order or release what you hold, then try again.",
    ),
    (
        "reservation_limit_reached",
        "You have too many reservations",
        "Order or release one of them, then try again.",
    ),
    (
        "sale_not_open",
        "The sale is not open",
        "Nothing was ordered. The product's page says when it opens.",
    ),
    (
        "reservation_expired",
        "The time to order has passed",
        "The units are no longer held for you. You can try again while stock lasts.",
    ),
    (
        "payment_refused",
        "The payment provider does not take this payment",
        "Nothing was ordered. The amount may be too small or too large for a card.",
    ),
    (
        "no_payment_provider",
        "Cards are not accepted here",
        "Nothing was ordered. Order on credit instead.",
    ),
    (
        "payment_provider_error",
        "The payment provider does not answer",
        "Nothing was ordered. Try again in a minute.",
    ),
    (
        "invalid_transition",
        "The order has changed in the meantime",
        "The page shows its current state.",
    ),
    (
        "idempotency_key_reused",
        "This form was already sent",
        "It was sent before with other values, and that request counts. Look at its result, or send this as a new request.",
    ),
    (
        "rate_limited",
        "Too many attempts",
        "Wait a minute, then try again.",
    ),
    (
        "overloaded",
        "The store is very busy",
        "Nothing was changed. Try again in a few seconds.",
    ),
    (
        "database_unavailable",
        "The store is very busy",
        "Nothing was changed. Try again in a few seconds.",
    ),
    (
        "outcome_unknown",
        "The outcome is not known yet",
        "Look at your orders before you try again.",
    ),
];

/// The title and the advice for a code of the API's errors. `None` for codes that the API's own message explains better.
#[must_use]
pub fn refusal(code: &str) -> Option<(&'static str, &'static str)> {
    let row = REFUSALS.iter().find(|(known, ..)| *known == code);
    row.map(|(_, title, text)| (*title, *text))
}
