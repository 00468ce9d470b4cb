//! Payments of an order, on credit and by card.

use chrono::{DateTime, Utc};
use entity::orders::PaymentMethod;
use entity::payment_intents::Status;
use entity::{BusinessId, Money, OrderId, PaymentId, Tenant, orders, payment_intents};
use sea_orm::{DbBackend, FromQueryResult, Statement, Value};

use crate::{Error, Transaction};

/// A payment of an order, or one that is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payment {
    /// The part of a payment on account that settles an order on credit.
    OnAccount {
        /// The payment.
        payment_id: PaymentId,
        /// The payment's method, as the caller wrote it.
        method: String,
        /// The part that settles this order.
        amount: Money,
        /// When the money was received.
        received_at: DateTime<Utc>,
    },
    /// The payment intent of a card order.
    ByCard {
        /// The name of the payment provider.
        provider: String,
        /// The provider's id of the intent; `None` until the provider has returned one.
        intent: Option<String>,
        /// The amount requested.
        amount: Money,
        /// The status of the intent.
        status: Status,
        /// The provider's message about a failure.
        failure: Option<String>,
        /// The received amount, if it differs from the requested one.
        mismatch: Option<Mismatch>,
    },
}

/// A payment that differs from what was requested, in minor units of its own currency. The currency may differ from
/// that of the business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The currency, an ISO 4217 code in capitals.
    pub currency: String,
    /// The amount received, in minor units.
    pub received_minor: i64,
    /// The part of it that was refunded at the provider, in minor units.
    pub returned_minor: i64,
}

/// Net shares of payments on account that settle an order.
const ON_ACCOUNT: &str = "
SELECT p.id, p.method, sum(a.amount) AS amount, p.received_at
  FROM allocations a
  JOIN payments p ON p.business_id = $1 AND p.customer_id = a.customer_id AND p.entry_number = a.entry_number
 WHERE a.business_id = $1 AND a.order_id = $2
 GROUP BY p.id, p.method, p.received_at
HAVING sum(a.amount) <> 0
 ORDER BY p.id";

pub(super) async fn of(
    transaction: &Transaction,
    order: &orders::Model,
) -> Result<Vec<Payment>, Error> {
    match order.payment_method {
        PaymentMethod::Credit => on_account(transaction, order).await,
        PaymentMethod::Card => {
            let intent = intent(transaction, order.business_id, order.id).await?;
            let payment = intent.map(|intent| Payment::ByCard {
                mismatch: intent.received_minor.zip(intent.received_currency).map(
                    |(received_minor, currency)| Mismatch {
                        currency,
                        received_minor,
                        returned_minor: intent.returned_minor,
                    },
                ),
                provider: intent.provider,
                intent: intent.provider_id,
                amount: intent.amount,
                status: intent.status,
                failure: intent.failure,
            });
            Ok(payment.into_iter().collect())
        }
    }
}

/// A row of [`ON_ACCOUNT`].
#[derive(FromQueryResult)]
struct OnAccount {
    id: PaymentId,
    method: String,
    amount: Money,
    received_at: DateTime<Utc>,
}

async fn on_account(
    transaction: &Transaction,
    order: &orders::Model,
) -> Result<Vec<Payment>, Error> {
    let values: [Value; 2] = [order.business_id.0.into(), order.id.0.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, ON_ACCOUNT, values);
    let rows = OnAccount::find_by_statement(statement)
        .all(transaction)
        .await?;
    let payments = rows.into_iter().map(|row| Payment::OnAccount {
        payment_id: row.id,
        method: row.method,
        amount: row.amount,
        received_at: row.received_at,
    });
    Ok(payments.collect())
}

/// An order's payment intent as last written.
pub(crate) async fn intent(
    transaction: &Transaction,
    business: BusinessId,
    id: OrderId,
) -> Result<Option<payment_intents::Model>, Error> {
    let intent = payment_intents::Entity::by_id(business, id)
        .one(transaction)
        .await?;
    Ok(intent)
}
