//! What was paid for an order.

use chrono::{DateTime, Utc};
use entity::orders::PaymentMethod;
use entity::payment_intents::Status;
use entity::{BusinessId, Money, OrderId, PaymentId, Tenant, orders, payment_intents};
use sea_orm::{DbBackend, FromQueryResult, Statement, Value};

use crate::{Error, Transaction};

/// Something that was paid for an order, or is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payment {
    /// What of a payment has settled an order on credit.
    OnAccount {
        /// The payment.
        payment_id: PaymentId,
        /// How it came.
        method: String,
        /// How much of it.
        amount: Money,
        /// When the money came.
        received_at: DateTime<Utc>,
    },
    /// What an order by card asks for.
    ByCard {
        /// Of which provider.
        provider: String,
        /// The provider's id of it, as soon as it has told one.
        intent: Option<String>,
        /// How much.
        amount: Money,
        /// Where it stands.
        status: Status,
        /// What the provider said when it did not go well.
        failure: Option<String>,
        /// What came, when that is not what was asked for.
        mismatch: Option<Mismatch>,
    },
}

/// A payment that is not what was asked for, in minor units of its own currency: that may be one that is not the business's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Its currency, an ISO 4217 code in capitals.
    pub currency: String,
    /// What came.
    pub received_minor: i64,
    /// What of that was given back at the provider.
    pub returned_minor: i64,
}

/// What payments on account have settled of an order, and still do.
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

/// An order's intent, as it was last written.
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
