//! The payment provider: the one port of the domain. What is behind it knows how to ask; when, and what follows from the
//! answer, is decided here.
//!
//! The provider is never called between `begin` and `commit`. Whatever is asked of it carries a key that is the same each
//! time, so that asking again after a crash or a lost answer makes nothing twice.

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
    /// What rows call it. An intent is worked on by the provider that made it and no other.
    fn name(&self) -> &'static str;

    /// Which amounts it takes in this currency; `None` for a currency in which it takes none. Nothing is asked for it: what
    /// is outside is refused before there is an order.
    fn limits(&self, currency: Currency) -> Option<Limits>;

    /// Makes the intent of an order. Asked again with the same, it answers with the one that it has made before.
    ///
    /// # Errors
    /// [`Failure`].
    async fn create(&self, wanted: &WantedIntent) -> Result<Intent, Failure>;

    /// Cancels an intent, unless it is paid. Either way it answers with what it is then.
    ///
    /// # Errors
    /// [`Failure`].
    async fn cancel(&self, intent: &str) -> Result<Intent, Failure>;

    /// Gives money back. Asked again with the same, it answers with the refund that it has made before, however long ago:
    /// where a key is forgotten after some time, by looking for it when it was [asked before](WantedRefund::asked_before).
    ///
    /// # Errors
    /// [`Failure`].
    async fn refund(&self, wanted: &WantedRefund) -> Result<Refund, Failure>;

    /// What has become of a refund.
    ///
    /// # Errors
    /// [`Failure`].
    async fn refund_status(&self, refund: &str) -> Result<Refund, Failure>;

    /// All refunds of a payment as they are now, those that were made by hand among them, the oldest first.
    ///
    /// # Errors
    /// [`Failure`].
    async fn refunds(&self, intent: &str) -> Result<Vec<FoundRefund>, Failure>;

    /// A dispute as it is now.
    ///
    /// # Errors
    /// [`Failure`].
    async fn dispute(&self, dispute: &str) -> Result<FoundDispute, Failure>;
}

/// What every part of the service shares: the provider, if there is one.
pub type Shared = Option<Arc<dyn Provider>>;

/// An intent that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedIntent {
    /// Of which business. What the provider tells later is to name it.
    pub business_id: BusinessId,
    /// For which order. Its id is the key.
    pub order_id: OrderId,
    /// How much.
    pub amount: Money,
    /// In which currency.
    pub currency: Currency,
}

/// An intent as the provider has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The provider's id.
    pub id: String,
    /// What the buyer's page pays with.
    pub client_secret: String,
    /// Where it stands.
    pub state: IntentState,
}

/// Where an intent stands at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntentState {
    /// It can be paid, or is being paid.
    Open,
    /// It was paid.
    Paid(Received),
    /// It cannot be paid any more.
    Cancelled,
}

/// Money that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// In minor units of its currency.
    pub minor: i64,
    /// Its currency, an ISO 4217 code in capitals.
    pub currency: String,
    /// The same as an amount, where it is one of a currency that we know.
    pub amount: Option<Money>,
}

impl Received {
    /// Whether it is this, exactly.
    #[must_use]
    pub fn is(&self, amount: Money, currency: Currency) -> bool {
        self.amount == Some(amount) && self.currency == currency.to_string()
    }
}

/// A refund that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRefund {
    /// Its id, the key.
    pub refund_id: RefundId,
    /// Of which payment: the provider's id of the intent.
    pub intent: String,
    /// How much.
    pub amount: Money,
    /// In which currency.
    pub currency: Currency,
    /// Whether it was asked for before, with no answer that was heard: it may have been made.
    pub asked_before: bool,
}

/// A refund as the provider has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// The provider's id.
    pub id: String,
    /// Where it stands.
    pub state: RefundState,
}

/// Where a refund stands at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundState {
    /// Under way.
    Pending,
    /// The money is given back.
    Succeeded,
    /// It is not, and will not be: why.
    Failed(String),
}

/// A refund that was found at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRefund {
    /// The provider's id.
    pub id: String,
    /// Which of ours it is; `None` for one that was made by hand.
    pub refund_id: Option<RefundId>,
    /// How much.
    pub amount: Received,
    /// Where it stands.
    pub state: RefundState,
}

/// A dispute that was found at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDispute {
    /// The provider's id.
    pub id: String,
    /// How much of the payment is disputed.
    pub amount: Received,
    /// The provider's word for why.
    pub reason: String,
    /// Where it stands.
    pub status: disputes::Status,
    /// Until when the provider takes evidence, if it takes any.
    pub evidence_due_at: Option<DateTime<Utc>>,
    /// Whether the provider has taken the money back for now.
    pub funds_withdrawn: bool,
}

/// Why the provider did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No answer, or one that says nothing about the request. It may have been done: ask again.
    #[error("the payment provider does not answer: {0}")]
    NoAnswer(String),
    /// It will not be done, now or later.
    #[error("the payment provider refuses: {message}")]
    Refused {
        /// The provider's code, for a program.
        code: String,
        /// Its words, for the operator.
        message: String,
    },
}
