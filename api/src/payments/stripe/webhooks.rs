//! Taking webhooks: the signature first, then the event.

use std::sync::Arc;

use chrono::Utc;
use domain::card::checkout::Event;
use domain::card::provider::{Failure, Provider};

use super::{InvalidSignature, Stripe, WebhookSecrets, event};

/// What takes webhooks.
#[derive(Debug)]
pub struct Webhooks {
    stripe: Arc<Stripe>,
    secrets: WebhookSecrets,
}

/// Why a webhook tells nothing.
#[derive(Debug, thiserror::Error)]
pub enum BadWebhook {
    /// It is not Stripe's, or it is old.
    #[error(transparent)]
    Signature(#[from] InvalidSignature),
    /// It is Stripe's, and no event.
    #[error("it is no event: {0}")]
    NoEvent(#[from] serde_json::Error),
    /// Whose it is could not be asked.
    #[error(transparent)]
    Asking(#[from] Failure),
}

impl Webhooks {
    /// Those of this account, signed with any of these.
    #[must_use]
    pub fn new(stripe: Arc<Stripe>, secrets: WebhookSecrets) -> Self {
        Self { stripe, secrets }
    }

    /// What a webhook with this header and this body tells; `None` when it is nothing for us.
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

    /// Whom to ask for what an event does not say itself.
    #[must_use]
    pub fn provider(&self) -> &dyn Provider {
        &*self.stripe
    }
}
