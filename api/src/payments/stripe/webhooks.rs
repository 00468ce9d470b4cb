//! Reader of webhooks: it verifies the signature, then parses the event.

use std::sync::Arc;

use chrono::Utc;
use domain::card::checkout::Event;
use domain::card::provider::{Failure, Provider};

use super::{InvalidSignature, Stripe, WebhookSecrets, event};

/// The reader of the webhooks of one Stripe account.
#[derive(Debug)]
pub struct Webhooks {
    stripe: Arc<Stripe>,
    secrets: WebhookSecrets,
}

/// Why a webhook cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadWebhook {
    /// It does not come from Stripe, or it is too old.
    #[error(transparent)]
    Signature(#[from] InvalidSignature),
    /// The signature is valid, but the body is not an event.
    #[error("it is not an event: {0}")]
    NoEvent(#[from] serde_json::Error),
    /// The order could not be requested from Stripe.
    #[error(transparent)]
    Asking(#[from] Failure),
}

impl Webhooks {
    /// A reader of this account's webhooks, signed with any of these secrets.
    #[must_use]
    pub fn new(stripe: Arc<Stripe>, secrets: WebhookSecrets) -> Self {
        Self { stripe, secrets }
    }

    /// Reads a webhook with this header and this body; `None` if it does not concern this service. Sends one request to
    /// Stripe if the event does not name its order.
    ///
    /// # Errors
    /// See [`BadWebhook`].
    pub async fn read(&self, signature: &str, body: &[u8]) -> Result<Option<Event>, BadWebhook> {
        self.secrets
            .verify(signature, body, Utc::now().timestamp())?;
        let Some(notice) = event::read(body)? else {
            return Ok(None);
        };
        let order = match notice.order {
            Some(order) => Some(order),
            None => self.stripe.order_of(&notice.intent).await?,
        };
        match order {
            Some(order) => Ok(Some(notice.event(order))),
            None => Ok(None),
        }
    }

    /// The provider, to request what the event does not contain.
    #[must_use]
    pub fn provider(&self) -> &dyn Provider {
        &*self.stripe
    }
}
