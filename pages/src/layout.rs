//! The frame of every page: the business, the visitor, the search, the cart's count and a notice.

use std::borrow::Borrow;

use chrono::{DateTime, NaiveDate, Utc};
use entity::{Currency, Money, TimeZone};

use crate::parts::Moment;
use crate::text;

/// The frame of a page.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The business of the page.
    pub business: Business,
    /// The name of the signed-in user; `None` for a visitor.
    pub user: Option<String>,
    /// Whether the user is a customer, who has orders and an account of their own.
    pub is_customer: bool,
    /// The lines of the cart.
    pub cart_count: usize,
    /// The search text, repeated in the header's field.
    pub search: String,
    /// The path and query of this page, to which a login returns.
    pub path: String,
    /// The notice of the last action.
    pub notice: Option<Notice>,
    /// The id of the request, by which an operator finds it in the log.
    pub request_id: String,
}

/// The business of a page.
#[derive(Debug, Clone)]
pub struct Business {
    /// The name in addresses.
    pub slug: String,
    /// The name for people.
    pub name: String,
    pub currency: Currency,
    /// The zone in which pages show times.
    pub time_zone: TimeZone,
}

/// A message about what has just happened, shown once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    SignedIn,
    SignedOut,
    Registered,
    AddedToCart,
    CartChanged,
    OrderPlaced,
    OrderCancelled,
    Paid,
    Held,
    HoldReleased,
    PasswordChanged,
    PasswordReset,
    SessionEnded,
    AddressesSaved,
    OrderShipped,
    Refunded,
    Credited,
    WrittenOff,
}

impl Notice {
    /// All notices.
    pub const ALL: [Self; 18] = [
        Self::SignedIn,
        Self::SignedOut,
        Self::Registered,
        Self::AddedToCart,
        Self::CartChanged,
        Self::OrderPlaced,
        Self::OrderCancelled,
        Self::Paid,
        Self::Held,
        Self::HoldReleased,
        Self::PasswordChanged,
        Self::PasswordReset,
        Self::SessionEnded,
        Self::AddressesSaved,
        Self::OrderShipped,
        Self::Refunded,
        Self::Credited,
        Self::WrittenOff,
    ];

    /// The name of the notice in an address or a cookie.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.code_and_text().0
    }

    /// The text for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.code_and_text().1
    }

    /// The notice with a code; `None` for an unknown code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|notice| notice.code() == code)
    }

    fn code_and_text(self) -> (&'static str, &'static str) {
        match self {
            Self::SignedIn => ("signed-in", "You are logged in."),
            Self::SignedOut => ("signed-out", "You are logged out."),
            Self::Registered => (
                "registered",
                "Your account is ready, and you are logged in.",
            ),
            Self::AddedToCart => ("added", "Added to your cart."),
            Self::CartChanged => ("cart-changed", "Your cart is up to date."),
            Self::OrderPlaced => ("order-placed", "Your order is placed."),
            Self::OrderCancelled => ("order-cancelled", "The order is cancelled."),
            Self::Paid => ("paid", "The payment was sent."),
            Self::Held => ("held", "The units are held for you."),
            Self::HoldReleased => ("hold-released", "The units are no longer held for you."),
            Self::PasswordChanged => (
                "password-changed",
                "Your password is changed, and your other logins have ended.",
            ),
            Self::PasswordReset => (
                "password-reset",
                "Your new password is set, and all your logins have ended. Log in with it.",
            ),
            Self::SessionEnded => ("session-ended", "That login has ended."),
            Self::AddressesSaved => ("addresses-saved", "Your addresses are saved."),
            Self::OrderShipped => ("order-shipped", "The order is marked as shipped."),
            Self::Refunded => ("refunded", "The refund is on its way."),
            Self::Credited => ("credited", "The credit note is issued."),
            Self::WrittenOff => ("written-off", "The amount is written off."),
        }
    }
}

/// Templates pass values by reference or by value, so these functions take both.
impl Business {
    /// The path of the store, or of a page in it: `path("/cart")` is `/shop/acme/cart`.
    #[must_use]
    pub fn path(&self, rest: &str) -> String {
        format!("/shop/{}{rest}", self.slug)
    }

    /// See [`text::money`].
    #[must_use]
    pub fn money(&self, amount: impl Borrow<Money>) -> String {
        text::money(*amount.borrow(), self.currency)
    }

    /// The amount as programs read it: `1234.50`.
    pub(crate) fn plain(&self, amount: impl Borrow<Money>) -> String {
        amount.borrow().to_text(self.currency)
    }

    /// An instant for people, with its exact value for programs.
    pub(crate) fn moment(&self, at: impl Borrow<DateTime<Utc>>) -> Moment {
        Moment::instant(*at.borrow(), self.time_zone)
    }

    /// The day of an instant.
    pub(crate) fn day(&self, at: impl Borrow<DateTime<Utc>>) -> Moment {
        self.date(self.time_zone.day_of(*at.borrow()))
    }

    /// A day.
    #[expect(clippy::unused_self, reason = "templates find it beside the others")]
    pub(crate) fn date(&self, day: impl Borrow<NaiveDate>) -> Moment {
        Moment::day(*day.borrow())
    }

    /// The first letter of the name, for the mark beside it.
    pub(crate) fn initial(&self) -> String {
        let letter = self.name.chars().find(|letter| letter.is_alphanumeric());
        letter.map_or_else(|| "?".to_owned(), |letter| letter.to_uppercase().collect())
    }
}

impl Layout {
    /// The address of the login that returns to this page.
    pub(crate) fn login(&self) -> String {
        self.returning("/login")
    }

    /// The address of a page that leads back to this one.
    pub(crate) fn returning(&self, page: &str) -> String {
        format!("{}?next={}", self.business.path(page), escaped(&self.path))
    }
}

/// A text as a part of an address's query: all bytes but letters, digits and `-._~` as `%XX`.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
