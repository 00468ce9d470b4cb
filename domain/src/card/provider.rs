//! The payment provider: the domain's only port. An implementation knows how to call a provider; this crate decides
//! when, and what follows from the response.
//!
//! The provider is never called between `begin` and `commit`. Each request carries a key that never changes, so a retry
//! after a crash or a lost response has no second effect.

mod limits;
mod offline;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use entity::{BusinessId, Currency, Money, OrderId, RefundId, disputes};

pub use limits::Limits;
pub use offline::Offline;

/// A payment provider.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync {
    /// The name in rows. An intent is processed only by the provider that created it.
    fn name(&self) -> &'static str;

    /// The amounts that it takes in this currency; `None` if it takes none. Makes no call: an amount outside is
    /// rejected before an order exists.
    fn limits(&self, currency: Currency) -> Option<Limits>;

    /// Creates the intent of an order. A retry with the same input returns the intent created before.
    ///
    /// # Errors
    /// [`Failure`].
    async fn create(&self, wanted: &WantedIntent) -> Result<Intent, Failure>;

    /// Cancels an intent that is not paid. Returns the intent as it is afterwards.
    ///
    /// # Errors
    /// [`Failure`].
    async fn cancel(&self, intent: &str) -> Result<Intent, Failure>;

    /// Refunds money. A retry with the same input returns the refund made before, however long ago. An implementation
    /// whose keys expire searches for the refund if it was [requested before](WantedRefund::asked_before).
    ///
    /// # Errors
    /// [`Failure`].
    async fn refund(&self, wanted: &WantedRefund) -> Result<Refund, Failure>;

    /// The current state of a refund.
    ///
    /// # Errors
    /// [`Failure`].
    async fn refund_status(&self, refund: &str) -> Result<Refund, Failure>;

    /// All refunds of a payment, including those made by hand, the oldest first.
    ///
    /// # Errors
    /// [`Failure`].
    async fn refunds(&self, intent: &str) -> Result<Vec<FoundRefund>, Failure>;

    /// The current state of a dispute.
    ///
    /// # Errors
    /// [`Failure`].
    async fn dispute(&self, dispute: &str) -> Result<FoundDispute, Failure>;
}

/// The provider that all parts of the service share; `None` if none is configured.
pub type Shared = Option<Arc<dyn Provider>>;

/// An intent to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedIntent {
    /// The business, which the provider's events must name.
    pub business_id: BusinessId,
    /// The order. Its id is the idempotency key at the provider.
    pub order_id: OrderId,
    /// The amount to pay.
    pub amount: Money,
    /// The currency of the amount.
    pub currency: Currency,
}

/// An intent at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The provider's id.
    pub id: String,
    /// The secret with which the buyer's page pays.
    pub client_secret: String,
    /// The state at the provider.
    pub state: IntentState,
}

/// The state of an intent at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntentState {
    /// The intent can be paid, or a payment is in progress.
    Open,
    /// The intent was paid.
    Paid(Received),
    /// The intent can no longer be paid.
    Cancelled,
}

/// Money that the provider received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The amount in minor units of its currency.
    pub minor: i64,
    /// The currency, an ISO 4217 code in capitals.
    pub currency: String,
    /// The same amount as money; `None` for a currency that the service does not know.
    pub amount: Option<Money>,
}

impl Received {
    /// Whether it equals this amount in this currency.
    #[must_use]
    pub fn is(&self, amount: Money, currency: Currency) -> bool {
        self.amount == Some(amount) && self.currency == currency.to_string()
    }
}

/// A refund to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRefund {
    /// The refund's id, which is the idempotency key at the provider.
    pub refund_id: RefundId,
    /// The payment: the provider's id of the intent.
    pub intent: String,
    /// The amount to refund.
    pub amount: Money,
    /// The currency of the amount.
    pub currency: Currency,
    /// Whether an earlier request got no response. The refund may exist then.
    pub asked_before: bool,
}

/// A refund at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// The provider's id.
    pub id: String,
    /// The state at the provider.
    pub state: RefundState,
}

/// The state of a refund at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundState {
    /// The refund is in progress.
    Pending,
    /// The refund succeeded.
    Succeeded,
    /// The refund failed for good, with the reason.
    Failed(String),
}

/// A refund as listed by the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRefund {
    /// The provider's id.
    pub id: String,
    /// The refund of this service that it belongs to; `None` for a refund made by hand.
    pub refund_id: Option<RefundId>,
    /// The amount refunded.
    pub amount: Received,
    /// The state at the provider.
    pub state: RefundState,
}

/// A dispute as read from the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDispute {
    /// The provider's id.
    pub id: String,
    /// The disputed part of the payment.
    pub amount: Received,
    /// The provider's term for the reason.
    pub reason: String,
    /// The state at the provider.
    pub status: disputes::Status,
    /// The deadline for evidence; `None` if the provider takes none.
    pub evidence_due_at: Option<DateTime<Utc>>,
    /// Whether the provider has withdrawn the money for the time of the dispute.
    pub funds_withdrawn: bool,
}

/// Why the provider did not carry out a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No response, or one that says nothing about the request. The request may have taken effect: retry.
    #[error("the payment provider does not respond: {0}")]
    NoAnswer(String),
    /// The provider refuses for good.
    #[error("the payment provider refuses: {message}")]
    Refused {
        /// The provider's code, for programs.
        code: String,
        /// The provider's message, for the operator.
        message: String,
    },
}
