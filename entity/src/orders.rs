//! Table `orders`: what was sold, and what is still owed for it.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Address, BusinessId, CustomerId, Metadata, Money, OrderId, UserId};

/// The status of an order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Created,
    PaymentPending,
    Approved,
    Paid,
    Fulfilled,
    Cancelled,
}

/// The payment method of an order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum PaymentMethod {
    Credit,
    Card,
}

/// Why an order was cancelled.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// A user requested the cancellation.
    Requested,
    /// The order was not paid in time.
    PaymentExpired,
    /// The payment provider refused the payment.
    PaymentRefused,
    /// The payment was cancelled at the provider.
    PaymentCancelled,
    /// The payment arrived after the hold had expired and the stock was taken. The payment is refunded.
    StockGone,
    /// The payment arrived after the order had been cancelled. The payment is refunded.
    PaidTooLate,
}

/// Why an order needs attention by a person.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// The amount or currency of the payment differs from the order's, and the payment is not fully returned.
    PaymentMismatched,
    /// A refund failed, and no later refund returned the money, by the service or by hand.
    RefundFailed,
    /// The buyer disputes the payment.
    DisputeOpen,
    /// A dispute was lost.
    DisputeLost,
}

/// An order. Last in the lock order of customers, inventory and orders.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "orders")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OrderId,
    pub customer_id: CustomerId,
    pub status: Status,
    pub payment_method: PaymentMethod,
    pub total_amount: Money,
    /// The amount that need not be paid any more, because it was paid or credited.
    pub amount_settled: Money,
    /// The part of `amount_settled` that was settled without money: by credit notes, write-offs or a cancellation.
    pub amount_credited: Money,
    /// Derived by the database: `total_amount` less `amount_settled`.
    pub amount_due: Money,
    /// When the order is due. For an order by card, the end of the time in which it can be paid.
    pub due_at: DateTimeUtc,
    /// The part of the card payment that was refunded or whose refund is pending.
    pub amount_refunded: Money,
    /// The part of the card payment that lost disputes have taken.
    pub amount_lost: Money,
    /// Why the order needs attention; null when it needs none. Read it with [`Model::attention`].
    pub attention: Option<Vec<String>>,
    pub cancel_reason: Option<CancelReason>,
    /// The carrier's reference to the goods, once the order is fulfilled.
    pub tracking_reference: Option<String>,
    /// The buyer's own order number, which their accounts department asks for.
    pub reference: Option<String>,
    /// Text for people, of several lines.
    pub note: Option<String>,
    pub delivery_address: Option<Address>,
    pub metadata: Option<Metadata>,
    pub created_by: UserId,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    #[sea_orm(has_many)]
    pub order_items: HasMany<super::order_items::Entity>,
    #[sea_orm(
        belongs_to,
        from = "(business_id, customer_id)",
        to = "(business_id, id)"
    )]
    pub customer: BelongsTo<super::customers::Entity>,
}

impl Model {
    /// The part of `amount_settled` that was settled with money.
    #[must_use]
    pub fn amount_paid(&self) -> Money {
        self.amount_settled - self.amount_credited
    }

    /// The part of the charge that credit notes, write-offs and a cancellation have credited.
    ///
    /// 0 for an order by card, which charges no account. Its column `amount_credited` is not 0 after a cancellation
    /// without payment, and serves only to keep `amount_due` at 0.
    #[must_use]
    pub fn amount_credited(&self) -> Money {
        match self.payment_method {
            PaymentMethod::Credit => self.amount_credited,
            PaymentMethod::Card => Money::ZERO,
        }
    }

    /// Why the order needs attention. Omits reasons that only a later version of the service knows.
    #[must_use]
    pub fn attention(&self) -> Vec<Attention> {
        let reasons = self.attention.iter().flatten();
        reasons
            .filter_map(|reason| Attention::try_from_value(reason).ok())
            .collect()
    }

    /// Replaces the reasons. An empty list stores null.
    pub fn set_attention(&mut self, reasons: &[Attention]) {
        let reasons: Vec<String> = reasons.iter().map(ActiveEnum::to_value).collect();
        self.attention = Some(reasons).filter(|reasons| !reasons.is_empty());
    }
}

impl ActiveModelBehavior for ActiveModel {}
