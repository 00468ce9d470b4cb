//! The payment worker: calls the provider for all due rows.
//!
//! Due are intents that a crash left uncreated, expired intents, intents to cancel, and refunds. Rows say when they are
//! due (`next_try_at`). A row is leased before the call, for longer after each call without a response. Leases keep
//! several processes from calling for the same row; if they do, the key is the same. A provider may forget keys, so a
//! repeated refund request says that the refund may exist. The provider's response is written under the order's lock,
//! whichever process called.

use std::sync::LazyLock;

use entity::orders::{CancelReason, Status as OrderStatus};
use entity::payment_intents::Status;
use entity::{BusinessId, OrderId, RefundId, Tenant, payment_intents, refunds};
use fail::fail_point;
use sea_orm::sea_query::{Expr, ExprTrait, PostgresQueryBuilder, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, FromQueryResult, QueryFilter, QueryTrait, Statement,
    Value,
};

use super::intents::{record_made, record_refused, wanted};
use super::locked_order::{self, AT_ONCE, LockedOrder, Stock};
use super::{events, reading};
use crate::audit::Actor;
use crate::card::provider::{Failure, Intent, IntentState, Provider, Shared, WantedRefund};
use crate::card::refunds::RefundResult;
use crate::foundation::locks;
use crate::foundation::poller::Poller;
use crate::foundation::retry::retry;
use crate::orders::payments;
use crate::{Database, Error};

/// The maximum of intents, and of refunds, in one round.
const MAX_ROWS_PER_ROUND: i64 = 50;

/// Calls the provider in the background.
#[derive(Debug)]
pub struct PaymentWorker {
    provider: Shared,
    watch: Poller,
}

impl PaymentWorker {
    /// A worker for this provider. Without a provider it has nothing to do.
    #[must_use]
    pub fn new(provider: Shared) -> Self {
        Self {
            provider,
            watch: Poller::default(),
        }
    }

    /// The provider, if one is configured.
    #[must_use]
    pub fn provider(&self) -> Option<&dyn Provider> {
        self.provider.as_deref()
    }

    /// Registers a business in which a call will become due.
    pub fn watch(&self, business: BusinessId) {
        self.watch.add(business);
    }

    /// Starts a round for a business in which a call may be due now.
    pub fn wake(&self, business: BusinessId) {
        self.watch.wake(business);
    }

    /// Runs until the process ends.
    pub async fn run(&self, database: &Database) {
        let Some(provider) = self.provider() else {
            return;
        };
        let look = |business| async move {
            match work(database, provider, business).await {
                Ok(_) => has_more_work(database, business).await.unwrap_or(true),
                Err(error) => {
                    tracing::warn!(%error, %business, "the payments of a business were not processed; the next run retries");
                    true
                }
            }
        };
        self.watch.run(database, look).await;
    }
}

/// Processes all due rows of a business. Returns how many there were.
///
/// # Errors
/// [`Error::DatabaseUnavailable`]; [`Error::Overloaded`].
pub async fn work(
    database: &Database,
    provider: &dyn Provider,
    business: BusinessId,
) -> Result<u64, Error> {
    let mut asked = 0;
    for order in lease(database, business, provider, &INTENTS).await? {
        asked += 1;
        if !process_intent(database, provider, business, OrderId(order)).await? {
            // The provider does not respond: each further call would wait for the same timeout.
            return Ok(asked);
        }
    }
    for refund in lease(database, business, provider, &REFUNDS).await? {
        asked += 1;
        if !process_refund(database, provider, business, RefundId(refund)).await? {
            return Ok(asked);
        }
    }
    Ok(asked)
}

/// Leases due intents, the paid ones first, so that these do not wait behind a call that times out.
static INTENTS: LazyLock<String> = LazyLock::new(|| {
    let is_paid = "status IN ('succeeded', 'mismatched')";
    leasing("payment_intents", "order_id", locks::due_intents(), is_paid)
});

static REFUNDS: LazyLock<String> =
    LazyLock::new(|| leasing("refunds", "id", locks::due_refunds(), "false"));

/// The statement that leases due rows. A lease lasts 1, 2, 4 and so on up to 15 minutes, by the number of tries. Only
/// these rows are locked, for this statement, so their place in the lock order does not matter.
///
/// Raw: an update of the rows that a common table expression locks.
fn leasing(
    table: &'static str,
    id: &'static str,
    mut due: SelectStatement,
    is_paid: &str,
) -> String {
    // Not in the `SET` clause: PostgreSQL evaluates an expression with the clock and a column where it finds the row.
    let next_try = format!(
        "now() + least(interval '1 minute' * (1 << least({table}.tries, 4)), interval '15 minutes')"
    );
    let due = due
        .column((table, id))
        .expr_as(Expr::cust(next_try), "next_try_at")
        .limit(MAX_ROWS_PER_ROUND.unsigned_abs())
        .to_string(PostgresQueryBuilder);
    format!(
        "
WITH due AS MATERIALIZED (
    {due}
)
UPDATE {table} SET tries = {table}.tries + 1, next_try_at = due.next_try_at
  FROM due
 WHERE {table}.business_id = $1 AND {table}.{id} = due.{id}
RETURNING {table}.{id} AS id, {is_paid} AS is_paid"
    )
}

/// A leased row: an intent, by its order, or a refund.
#[derive(Debug, FromQueryResult)]
struct Leased {
    id: uuid::Uuid,
    is_paid: bool,
}

async fn lease(
    database: &Database,
    business: BusinessId,
    provider: &dyn Provider,
    due: &str,
) -> Result<Vec<uuid::Uuid>, Error> {
    retry(|| async {
        let transaction = database.begin(business).await?;
        let values: [Value; 2] = [business.0.into(), provider.name().into()];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, due, values);
        let mut leased = Leased::find_by_statement(statement)
            .all(&transaction)
            .await?;
        if leased.is_empty() {
            transaction.rollback().await;
            return Ok(Vec::new());
        }
        transaction.commit().await?;
        leased.sort_by_key(|one| !one.is_paid);
        Ok(leased.into_iter().map(|one| one.id).collect())
    })
    .await
}

/// Whether anything will become due.
async fn has_more_work(database: &Database, business: BusinessId) -> Result<bool, Error> {
    let transaction = database.begin_read(business).await?;
    let intents = payment_intents::Entity::of(business)
        .filter(payment_intents::Column::NextTryAt.is_not_null());
    let refunds = refunds::Entity::of(business).filter(refunds::Column::NextTryAt.is_not_null());
    let any = Expr::exists(intents.into_query()).or(Expr::exists(refunds.into_query()));
    let row = transaction
        .query_one(Query::select().expr_as(any, "goes_on"))
        .await?;
    transaction.commit().await?;
    row.map_or(Ok(false), |row| Ok(row.try_get("", "goes_on")?))
}

/// Calls the provider for an intent. `false` when it did not respond.
async fn process_intent(
    database: &Database,
    provider: &dyn Provider,
    business: BusinessId,
    id: OrderId,
) -> Result<bool, Error> {
    let Some((intent, wanted)) = read(database, business, id).await? else {
        return Ok(true);
    };
    match (intent.status, intent.provider_id) {
        // The existence of the intent, or its secret, is unknown. It is created first, under the same key.
        (Status::Requested, _) | (Status::Cancelling, None) => match provider.create(&wanted).await
        {
            Ok(made) => {
                fail_point!("intent-found");
                record_made(database, business, id, &made).await?;
                // The next call is made now, not after the lease.
                Box::pin(process_made(database, provider, business, id)).await
            }
            Err(failure) => refused(database, business, id, &failure).await,
        },
        (Status::Pending | Status::Cancelling, Some(at_provider)) => {
            release_expired(database, business, id).await?;
            fail_point!("intent-to-cancel");
            match provider.cancel(&at_provider).await {
                Ok(cancelled) => {
                    fail_point!("intent-cancelled");
                    record_cancelled(database, business, id, &cancelled).await?;
                    Ok(true)
                }
                Err(failure @ Failure::Refused { .. }) => {
                    tracing::warn!(order = %id, %failure, "the payment provider does not have the payment intent");
                    let gone = Intent {
                        id: at_provider,
                        client_secret: intent.client_secret.unwrap_or_default(),
                        state: IntentState::Cancelled,
                    };
                    record_cancelled(database, business, id, &gone).await?;
                    Ok(true)
                }
                Err(failure @ Failure::NoAnswer(_)) => {
                    tracing::warn!(order = %id, %failure, "a payment intent was not cancelled; a later attempt follows");
                    Ok(false)
                }
            }
        }
        (Status::Mismatched | Status::Succeeded, _) => {
            process_paid(database, provider, business, id).await
        }
        (Status::Pending, None) | (Status::Cancelled | Status::Refused, _) => {
            settled(database, business, id).await?;
            Ok(true)
        }
    }
}

/// Processes a paid intent: an order that the payment does not settle ends at its deadline, and its refunds are read
/// again.
async fn process_paid(
    database: &Database,
    provider: &dyn Provider,
    business: BusinessId,
    id: OrderId,
) -> Result<bool, Error> {
    end_mismatched(database, business, id).await?;
    match reading::refresh(database, provider, business, id).await {
        Ok(()) => settled(database, business, id).await.map(|()| true),
        Err(Error::ProviderSilent) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Cancels an order with a mismatched payment once its time to pay is over. The stock is released; `attention` stays.
async fn end_mismatched(
    database: &Database,
    business: BusinessId,
    id: OrderId,
) -> Result<(), Error> {
    retry(|| async {
        let transaction = database.begin(business).await?;
        let locked = LockedOrder::of(&transaction, business, id, Stock::Locked).await?;
        let Some(mut locked) = locked.filter(|one| one.intent.status == Status::Mismatched) else {
            return Ok(());
        };
        let is_over = locked.now() >= locked.intent.expires_at;
        let is_open = matches!(
            locked.order.status,
            OrderStatus::Created | OrderStatus::PaymentPending
        );
        if is_open && is_over {
            let reason = CancelReason::PaymentExpired;
            let actor = Actor::system(business);
            locked.cancel_unpaid(&transaction, actor, reason).await?;
        } else {
            locked.write_holds(&transaction).await?;
        }
        transaction.commit().await
    })
    .await
}

/// Processes an intent that was just found to exist: cancels it if that is pending.
async fn process_made(
    database: &Database,
    provider: &dyn Provider,
    business: BusinessId,
    id: OrderId,
) -> Result<bool, Error> {
    let Some((intent, _)) = read(database, business, id).await? else {
        return Ok(true);
    };
    if intent.status == Status::Cancelling && intent.provider_id.is_some() {
        return process_intent(database, provider, business, id).await;
    }
    Ok(true)
}

async fn read(
    database: &Database,
    business: BusinessId,
    id: OrderId,
) -> Result<Option<(payment_intents::Model, crate::card::provider::WantedIntent)>, Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let Some(intent) = payments::intent(&transaction, business, id).await? else {
            return Ok(None);
        };
        let currency = locked_order::currency(&transaction, business).await?;
        transaction.commit().await?;
        let wanted = wanted(&intent, currency);
        Ok(Some((intent, wanted)))
    })
    .await
}

async fn refused(
    database: &Database,
    business: BusinessId,
    id: OrderId,
    failure: &Failure,
) -> Result<bool, Error> {
    match failure {
        Failure::NoAnswer(_) => {
            tracing::warn!(order = %id, %failure, "a payment intent was not made; a later attempt follows");
            Ok(false)
        }
        Failure::Refused { code, message } => {
            tracing::warn!(order = %id, %failure, "the payment intent of an order was refused");
            record_refused(database, business, id, (code, message)).await?;
            Ok(true)
        }
    }
}

/// Releases expired holds before the provider is called, so that waiting customers do not wait for its response.
async fn release_expired(
    database: &Database,
    business: BusinessId,
    id: OrderId,
) -> Result<(), Error> {
    retry(|| async {
        let transaction = database.begin(business).await?;
        if let Some(locked) = LockedOrder::of(&transaction, business, id, Stock::Locked).await? {
            locked.write_holds(&transaction).await?;
        }
        transaction.commit().await
    })
    .await
}

/// Records the provider's response to a cancellation.
async fn record_cancelled(
    database: &Database,
    business: BusinessId,
    id: OrderId,
    intent: &Intent,
) -> Result<(), Error> {
    retry(|| async {
        let transaction = database.begin(business).await?;
        let locked = LockedOrder::of(&transaction, business, id, Stock::Locked).await?;
        let Some(mut locked) = locked else {
            return Ok(());
        };
        let actor = Actor::system(business);
        match &intent.state {
            // A payment is in progress. Its result arrives as an event, or at the next attempt.
            IntentState::Open => return Ok(()),
            IntentState::Paid(received) => {
                events::paid(&transaction, actor, &mut locked, received).await?;
            }
            IntentState::Cancelled => {
                let reason = CancelReason::PaymentExpired;
                events::cancelled(&transaction, actor, &mut locked, reason).await?;
            }
        }
        transaction.commit().await
    })
    .await
}

/// Clears the next attempt of an intent, unless one was requested since the lease. An intent that is still open stays
/// due at its expiry.
async fn settled(database: &Database, business: BusinessId, id: OrderId) -> Result<(), Error> {
    retry(|| async {
        let transaction = database.begin(business).await?;
        let locked = LockedOrder::of(&transaction, business, id, Stock::Left).await?;
        let Some(mut locked) = locked.filter(|one| one.intent.next_try_at != Some(AT_ONCE)) else {
            return Ok(());
        };
        let is_unpaid = matches!(
            locked.order.status,
            OrderStatus::Created | OrderStatus::PaymentPending
        );
        match locked.intent.status {
            Status::Requested | Status::Cancelling | Status::Pending => return Ok(()),
            Status::Mismatched if is_unpaid => {
                locked.intent.next_try_at = Some(locked.intent.expires_at);
            }
            Status::Mismatched | Status::Succeeded | Status::Cancelled | Status::Refused => {
                locked.intent.next_try_at = None;
            }
        }
        locked.write_intent(&transaction).await?;
        transaction.commit().await
    })
    .await
}

/// Calls the provider for a refund. `false` when it did not respond.
async fn process_refund(
    database: &Database,
    provider: &dyn Provider,
    business: BusinessId,
    id: RefundId,
) -> Result<bool, Error> {
    let Some((refund, wanted)) = read_refund(database, business, id).await? else {
        return Ok(true);
    };
    let answer = match (refund.status, &refund.provider_id) {
        (refunds::Status::Pending, Some(at_provider)) => provider.refund_status(at_provider).await,
        (refunds::Status::Requested | refunds::Status::Pending, _) => {
            fail_point!("refund-to-make");
            provider.refund(&wanted).await
        }
        (refunds::Status::Succeeded | refunds::Status::Failed, _) => return Ok(true),
    };
    fail_point!("refund-made");
    let result = match answer {
        Ok(made) => RefundResult::of(&made.id, &made.state),
        Err(Failure::Refused { message, .. }) => RefundResult {
            status: refunds::Status::Failed,
            provider_id: None,
            failure: Some(message),
        },
        Err(failure @ Failure::NoAnswer(_)) => {
            tracing::warn!(refund = %id, %failure, "a refund was not made; a later attempt follows");
            return Ok(false);
        }
    };
    if let Some(why) = &result.failure {
        tracing::error!(refund = %id, order = %refund.order_id, why, "a refund has failed");
    }
    crate::card::refunds::record(database, &refund, &result).await?;
    Ok(true)
}

async fn read_refund(
    database: &Database,
    business: BusinessId,
    id: RefundId,
) -> Result<Option<(refunds::Model, WantedRefund)>, Error> {
    retry(|| async {
        let transaction = database.begin_read(business).await?;
        let refund = refunds::Entity::by_id(business, id)
            .one(&transaction)
            .await?;
        let Some(refund) = refund else {
            return Ok(None);
        };
        let intent = payments::intent(&transaction, business, refund.order_id).await?;
        let currency = locked_order::currency(&transaction, business).await?;
        transaction.commit().await?;
        let Some(at_provider) = intent.and_then(|intent| intent.provider_id) else {
            return Err(Error::Bug(format!("refund {id} has no payment")));
        };
        let wanted = WantedRefund {
            refund_id: id,
            intent: at_provider,
            amount: refund.amount,
            currency,
            // `tries` includes this attempt.
            asked_before: refund.tries > 1,
        };
        Ok(Some((refund, wanted)))
    })
    .await
}
