//! Payments of an order, on credit and by card.

use chrono::{DateTime, Utc};
use entity::orders::PaymentMethod;
use entity::payment_intents::Status;
use entity::{
    BusinessId, Money, OrderId, PaymentId, Tenant, allocations, orders, payment_intents, payments,
};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, JoinType, QueryFilter, QueryOrder, QuerySelect,
};

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

/// The net share of a payment on account in an order.
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
    use allocations::Column as Share;
    use payments::Column as Paid;

    let payment = allocations::Entity::belongs_to(payments::Entity)
        .from((Share::BusinessId, Share::CustomerId, Share::EntryNumber))
        .to((Paid::BusinessId, Paid::CustomerId, Paid::EntryNumber));
    let rows = allocations::Entity::of(order.business_id)
        .join(JoinType::InnerJoin, payment.into())
        .select_only()
        .columns([Paid::Id, Paid::Method, Paid::ReceivedAt])
        .column_as(Share::Amount.sum(), "amount")
        .filter(Share::OrderId.eq(order.id))
        .group_by(Paid::Id)
        .group_by(Paid::Method)
        .group_by(Paid::ReceivedAt)
        .having(Share::Amount.sum().ne(Money::ZERO))
        .order_by_asc(Paid::Id)
        .into_model::<OnAccount>()
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
