//! Readings: the provider's current state of a payment, read after an event about refunds or disputes, or after a
//! failed refund.
//!
//! The provider is called outside of transactions, so two readings may overlap and the older may be written last. Each
//! reading carries the number of readings written before it began. Under the order's lock a reading with an outdated
//! number is discarded, and the provider is asked again. The last written state is therefore the provider's latest.

use entity::{BusinessId, OrderId, payment_intents};

use super::checkout::{Event, EventKind};
use super::locked_order::{LockedOrder, Stock};
use super::refunds_found;
use crate::audit::Actor;
use crate::card::attention;
use crate::card::disputes;
use crate::card::provider::{Failure, FoundDispute, FoundRefund, Provider};
use crate::foundation::retry::retry;
use crate::orders::payments;
use crate::{Database, Error, Transaction};

/// The maximum of calls while concurrent readings are written.
pub(super) const ATTEMPTS: usize = 5;

/// The provider's state of refunds or of a dispute.
#[derive(Debug)]
pub(super) struct Reading {
    /// The number of readings that were written before this one began.
    number: i32,
    state: ProviderState,
}

#[derive(Debug)]
enum ProviderState {
    Refunds(Vec<FoundRefund>),
    Dispute(FoundDispute),
}

impl Reading {
    /// Reads what the event is about. `None` when the payment is not of this service, or when the event is complete.
    ///
    /// # Errors
    /// [`Error::ProviderSilent`].
    pub(super) async fn of(
        database: &Database,
        provider: &dyn Provider,
        event: &Event,
    ) -> Result<Option<Self>, Error> {
        if event.event_kind.is_complete() {
            return Ok(None);
        }
        let intent = read(database, event.business_id, event.order_id).await?;
        let Some(intent) = intent.filter(|intent| event.is_about(intent)) else {
            return Ok(None);
        };
        let state = match &event.event_kind {
            EventKind::DisputeChanged(dispute) => {
                provider.dispute(dispute).await.map(ProviderState::Dispute)
            }
            _ => provider
                .refunds(&event.intent)
                .await
                .map(ProviderState::Refunds),
        };
        Ok(Some(Self {
            number: intent.readings,
            state: state.map_err(|failure| silent(&failure, event.order_id))?,
        }))
    }

    /// Whether no other reading was written since this one began.
    pub(super) fn is_current(&self, locked: &LockedOrder) -> bool {
        self.number == locked.intent.readings
    }

    /// Writes the reading, and the amounts and reasons for attention that follow from it.
    pub(super) async fn write(
        &self,
        transaction: &Transaction,
        actor: Actor<'_>,
        locked: &mut LockedOrder,
    ) -> Result<(), Error> {
        match &self.state {
            ProviderState::Refunds(refunds) => {
                refunds_found::correct(transaction, actor, locked, refunds).await?;
            }
            ProviderState::Dispute(dispute) => {
                disputes::record(transaction, actor, locked, dispute).await?;
            }
        }
        locked.intent.readings += 1;
        locked.write_intent(transaction).await?;
        attention::assess(transaction, locked).await
    }
}

/// Reads an order's refunds from the provider and writes them.
///
/// # Errors
/// [`Error::ProviderSilent`]; [`Error::Overloaded`] when [`ATTEMPTS`] readings in a row were outdated.
pub(super) async fn refresh(
    database: &Database,
    provider: &dyn Provider,
    business: BusinessId,
    id: OrderId,
) -> Result<(), Error> {
    for _ in 0..ATTEMPTS {
        let Some(intent) = read(database, business, id).await? else {
            return Ok(());
        };
        let Some(at_provider) = &intent.provider_id else {
            return Ok(());
        };
        let refunds = match provider.refunds(at_provider).await {
            Ok(refunds) => refunds,
            Err(failure @ Failure::Refused { .. }) => {
                // The provider's account has no such payment, or no longer. A retry would get the same response.
                tracing::error!(order = %id, %failure, "a payment does not exist at the payment provider");
                return Ok(());
            }
            Err(failure) => return Err(silent(&failure, id)),
        };
        let reading = Reading {
            number: intent.readings,
            state: ProviderState::Refunds(refunds),
        };
        let written = retry(|| async {
            let transaction = database.begin(business).await?;
            let locked = LockedOrder::of(&transaction, business, id, Stock::Left).await?;
            let mut locked = locked.ok_or(Error::OrderNotFound(id))?;
            if !reading.is_current(&locked) {
                return Ok(false);
            }
            let actor = Actor::system(business);
            reading.write(&transaction, actor, &mut locked).await?;
            transaction.commit().await?;
            Ok(true)
        });
        if written.await? {
            return Ok(());
        }
    }
    Err(Error::Overloaded)
}

async fn read(
    database: &Database,
    business: BusinessId,
    id: OrderId,
) -> Result<Option<payment_intents::Model>, Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let intent = payments::intent(&transaction, business, id).await?;
        transaction.commit().await?;
        Ok(intent)
    })
    .await
}

fn silent(failure: &Failure, order: OrderId) -> Error {
    tracing::warn!(%order, %failure, "the payment provider does not return the state of a payment");
    Error::ProviderSilent
}
