//! Card orders: the types of a checkout and of the provider's events.
//!
//! 1. The desk holds the stock and writes the order, `created`, with the intent to create: one transaction.
//! 2. Outside transactions, the provider creates the intent under a key that never changes.
//! 3. The order becomes `payment_pending` and has the secret with which the buyer's page pays.
//! 4. A later event of the provider ([`crate::card::receive`]) makes it `paid`, and its hold a sale.
//!
//! After a crash or a lost response the rows say what to ask the provider next (`payment_intents.next_try_at`). The
//! [`crate::card::PaymentWorker`] asks it.

use chrono::{DateTime, Utc};
use entity::{BusinessId, Currency, CustomerId, Money, OrderId, ReservationId};

use crate::Error;
use crate::card::provider::{Limits, Received};
use crate::foundation::error::RefusedAmount;
use crate::orders::SoldLine;

/// The default time to pay a card order, in seconds.
pub const DEFAULT_PAYMENT_SECONDS: i32 = 1800;

/// The terms of a new card order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The name of the provider that will create the intent.
    pub provider: &'static str,
    /// The time in which the order can be paid and its stock is held, in seconds.
    pub seconds: i32,
    /// The amounts that the provider takes; `None` when it takes none in the currency of the business.
    pub limits: Option<Limits>,
}

impl Terms {
    /// Checks that the provider takes a payment of this amount.
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

/// A card order that the desk has placed. Its stock is held, nothing is paid, and the provider does not know it yet.
#[derive(Debug, Clone)]
pub struct PlacedOrder {
    /// The new order, with status `created`.
    pub order_id: OrderId,
    /// The customer who ordered.
    pub customer_id: CustomerId,
    /// The reservation that holds the stock.
    pub reservation_id: ReservationId,
    /// The currency of the business.
    pub currency: Currency,
    /// The items, in the buyer's sequence.
    pub lines: Vec<SoldLine>,
    /// The sum of the items.
    pub total: Money,
    /// When the order was placed, by the database's clock.
    pub created_at: DateTime<Utc>,
    /// When the time to pay ends.
    pub expires_at: DateTime<Utc>,
}

/// A card order that can be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// The order.
    pub order_id: OrderId,
    /// The buyer's own order number.
    pub reference: Option<String>,
    /// The amount to pay.
    pub total: Money,
    /// The currency of the business.
    pub currency: Currency,
    /// The secret with which the buyer's page pays.
    pub client_secret: String,
    /// When the time to pay ends.
    pub expires_at: DateTime<Utc>,
}

/// An event that the provider sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The provider's name.
    pub provider: &'static str,
    /// The provider's id of the event. Each id is processed once.
    pub id: String,
    /// The provider's name for the kind of event, for logs.
    pub kind: String,
    /// The business of the intent, as the service told the provider when the intent was created.
    pub business_id: BusinessId,
    /// The order of the intent.
    pub order_id: OrderId,
    /// The provider's id of the intent.
    pub intent: String,
    /// The kind of event.
    pub event_kind: EventKind,
}

/// The kinds of events of an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// The intent was paid.
    Paid(Received),
    /// An attempt to pay failed, with the reason. The buyer may try again.
    Failed(String),
    /// The intent can no longer be paid.
    Cancelled,
    /// Refunds of the payment changed. The service reads them from the provider, because events arrive in any order and
    /// the provider's current state decides.
    RefundsChanged,
    /// The dispute with this provider id changed. The service reads it from the provider.
    DisputeChanged(String),
}

/// The outcome of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOutcome {
    /// The event was new and is applied.
    Now,
    /// The event was applied before.
    Before,
    /// The event is about no order of this service.
    NotOurs,
}
