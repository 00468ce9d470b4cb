//! The offline provider of the embedded start: no call leaves the machine. A request pays an intent (`POST
//! /api/dev/payments/{intent}/succeed`).
//!
//! It stores nothing. The order's rows alone say whether an intent is paid. Unpaid intents can therefore always be
//! cancelled, and every refund succeeds.

use async_trait::async_trait;
use entity::{BusinessId, Currency, Money, OrderId};
use uuid::Uuid;

use super::{
    Failure, FoundDispute, FoundRefund, Intent, IntentState, Limits, Provider, Received, Refund,
    RefundState, WantedIntent, WantedRefund,
};

/// See [the module](self).
#[derive(Debug, Clone, Copy, Default)]
pub struct Offline;

/// The start of its intents' ids.
const PREFIX: &str = "pi_offline";

impl Offline {
    /// The provider's name in rows.
    pub const NAME: &'static str = "offline";

    /// The id of an order's intent.
    #[must_use]
    pub fn intent_of(business: BusinessId, order: OrderId) -> String {
        format!("{PREFIX}_{}_{}", business.0.simple(), order.0.simple())
    }

    /// The order of an intent, read from its id. `None` if the text is not an id of an intent.
    #[must_use]
    pub fn order_of(intent: &str) -> Option<(BusinessId, OrderId)> {
        let rest = intent.strip_prefix(PREFIX)?.strip_prefix('_')?;
        let (business, order) = rest.split_once('_')?;
        let id = |text: &str| Uuid::try_parse(text).ok();
        Some((BusinessId(id(business)?), OrderId(id(order)?)))
    }

    /// A payment of this amount, in minor units of the currency.
    #[must_use]
    pub fn received(amount: Money, currency: Currency) -> Received {
        let mut units = amount.decimal();
        units.rescale(currency.minor_digits());
        Received {
            // Amounts that a row can hold fit.
            minor: i64::try_from(units.mantissa()).unwrap_or(i64::MAX),
            currency: currency.to_string(),
            amount: Some(amount),
        }
    }
}

#[async_trait]
impl Provider for Offline {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn limits(&self, _currency: Currency) -> Option<Limits> {
        Some(Limits::NONE)
    }

    async fn create(&self, wanted: &WantedIntent) -> Result<Intent, Failure> {
        let id = Self::intent_of(wanted.business_id, wanted.order_id);
        Ok(Intent {
            client_secret: format!("{id}_secret"),
            id,
            state: IntentState::Open,
        })
    }

    async fn cancel(&self, intent: &str) -> Result<Intent, Failure> {
        Ok(Intent {
            id: intent.to_owned(),
            client_secret: format!("{intent}_secret"),
            state: IntentState::Cancelled,
        })
    }

    async fn refund(&self, wanted: &WantedRefund) -> Result<Refund, Failure> {
        let refund = format!("re_offline_{}", wanted.refund_id.0.simple());
        self.refund_status(&refund).await
    }

    async fn refund_status(&self, refund: &str) -> Result<Refund, Failure> {
        Ok(Refund {
            id: refund.to_owned(),
            state: RefundState::Succeeded,
        })
    }

    /// Nothing is refunded by hand, and the provider stores no refunds.
    async fn refunds(&self, _intent: &str) -> Result<Vec<FoundRefund>, Failure> {
        Ok(Vec::new())
    }

    async fn dispute(&self, dispute: &str) -> Result<FoundDispute, Failure> {
        Err(Failure::Refused {
            code: "resource_missing".to_owned(),
            message: format!("nobody disputes a payment here: {dispute}"),
        })
    }
}
