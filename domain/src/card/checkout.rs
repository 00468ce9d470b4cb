//! Orders that are paid by card.
//!
//! 1. The desk holds the stock and writes the order, `created`, with the intent that is to be made: one transaction.
//! 2. Outside any transaction the provider makes the intent, under a key that is the same each time.
//! 3. The order becomes `payment_pending`, with what the buyer's page pays with.
//! 4. What the provider tells later ([`crate::card::receive`]) makes it `paid`, and its hold a sale.
//!
//! Whatever comes in between, a crash or a lost answer, the rows say what is to be asked of the provider next
//! (`payment_intents.next_try_at`), and the [`crate::card::PaymentWorker`] asks it.

use chrono::{DateTime, Utc};
use entity::{BusinessId, Currency, CustomerId, Money, OrderId, ReservationId};

use crate::Error;
use crate::card::provider::{Limits, Received};
use crate::foundation::error::RefusedAmount;
use crate::orders::SoldLine;

/// For how long an order by card may be paid when nothing else is said, in seconds.
pub const SECONDS: i32 = 1800;

/// How an order is placed that is paid by card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The name of the provider that will be asked for its intent.
    pub provider: &'static str,
    /// For how long it may be paid, and its stock is held.
    pub seconds: i32,
    /// Which amounts the provider takes; `None` when it takes none in the business's currency.
    pub limits: Option<Limits>,
}

impl Terms {
    /// Whether the provider takes a payment of this amount.
    ///
    /// # Errors
    /// [`Error::PaymentRefused`].
    pub(crate) fn check(&self, total: Money) -> Result<(), Error> {
        let limits = self.limits.as_ref().ok_or_else(RefusedAmount::currency);
        let checked = limits.and_then(|limits| limits.check_payment(total));
        checked.map_err(|refused| Error::PaymentRefused {
            refused: Box::new(refused),
            order_id: None,
        })
    }
}

/// An order that the desk has placed: its stock is held, nothing is paid, and the provider knows nothing of it yet.
#[derive(Debug, Clone)]
pub struct PlacedOrder {
    /// The new order, `created`.
    pub order_id: OrderId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// What holds its stock.
    pub reservation_id: ReservationId,
    /// The business's currency.
    pub currency: Currency,
    /// What was ordered, in the buyer's order.
    pub lines: Vec<SoldLine>,
    /// The sum of the lines.
    pub total: Money,
    /// When it was placed: the database's clock.
    pub created_at: DateTime<Utc>,
    /// Until when it can be paid.
    pub expires_at: DateTime<Utc>,
}

/// An order that can be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// The order.
    pub order_id: OrderId,
    /// What it comes to.
    pub total: Money,
    /// The business's currency.
    pub currency: Currency,
    /// What the buyer's page pays with.
    pub client_secret: String,
    /// Until when it can be paid.
    pub expires_at: DateTime<Utc>,
}

/// Something that the provider has told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The provider's name.
    pub provider: &'static str,
    /// The provider's id of the event: each is taken once.
    pub id: String,
    /// What the provider calls it.
    pub kind: String,
    /// Of which business the intent is, as it was told when it was made.
    pub business_id: BusinessId,
    /// Of which order.
    pub order_id: OrderId,
    /// The provider's id of the intent.
    pub intent: String,
    /// What has happened.
    pub told: EventKind,
}

/// What can have happened to an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// It was paid.
    Paid(Received),
    /// A try to pay it failed: why. It can be tried again.
    Failed(String),
    /// It cannot be paid any more.
    Cancelled,
    /// Something has become of its refunds. What, the provider is asked: events come in any order, and what it has now is the
    /// truth.
    RefundsChanged,
    /// Something has become of the dispute with this id of the provider's. What, the provider is asked.
    DisputeChanged(String),
}

/// What came of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOutcome {
    /// It was new.
    Now,
    /// It was taken before.
    Before,
    /// It is about nothing that we have.
    NotOurs,
}
