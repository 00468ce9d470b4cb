//! What was sold, and what is still owed for it.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{BusinessId, CustomerId, Money, OrderId, UserId};

/// Where an order stands.
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

/// How an order is paid for.
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
    /// Somebody asked for it.
    Requested,
    /// It was not paid in time.
    PaymentExpired,
    /// The payment provider would not have it.
    PaymentRefused,
    /// Its payment was cancelled at the provider.
    PaymentCancelled,
    /// It was paid when its stock was held no more and somebody else had it. The payment is refunded.
    StockGone,
    /// It was paid after it had been cancelled. The payment is refunded.
    PaidTooLate,
}

/// Why a person has to look at an order.
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
    /// The payment was of another amount or currency than the order, and is not given back in full.
    PaymentMismatched,
    /// A refund failed, and no money was given back after it, by the service or by hand.
    RefundFailed,
    /// The buyer disputes the payment.
    DisputeOpen,
    /// A dispute was lost.
    DisputeLost,
}

/// An order. Last in the lock order.
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
    /// Paid or credited: what needs not be paid any more.
    pub amount_settled: Money,
    /// Of that, what was settled without money: by credit notes, write-offs, a cancellation.
    pub amount_credited: Money,
    /// Derived by the database: total less settled.
    pub amount_due: Money,
    /// When it is to be paid; by card, until when it can be.
    pub due_at: DateTimeUtc,
    /// Of what was paid by card, what is given back or on its way back.
    pub amount_refunded: Money,
    /// Of what was paid by card, what disputes that were lost have taken.
    pub amount_lost: Money,
    /// Why a person has to look at it; null when nobody has to. [`Model::attention`] reads it.
    pub attention: Option<Vec<String>>,
    pub cancel_reason: Option<CancelReason>,
    /// Where its goods are, once it is fulfilled.
    pub tracking_reference: Option<String>,
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
    /// What was settled with money.
    #[must_use]
    pub fn amount_paid(&self) -> Money {
        self.amount_settled - self.amount_credited
    }

    /// What credit notes, write-offs and a cancellation have credited of the charge. Nothing by card: such an order charges no
    /// account, and the column `amount_credited` of one that was cancelled unpaid only keeps its `amount_due` at zero.
    #[must_use]
    pub fn amount_credited(&self) -> Money {
        match self.payment_method {
            PaymentMethod::Credit => self.amount_credited,
            PaymentMethod::Card => Money::ZERO,
        }
    }

    /// Why a person has to look at it. A reason that only a later version knows is left out.
    #[must_use]
    pub fn attention(&self) -> Vec<Attention> {
        let reasons = self.attention.iter().flatten();
        reasons
            .filter_map(|reason| Attention::try_from_value(reason).ok())
            .collect()
    }

    /// Sets why a person has to look at it.
    pub fn set_attention(&mut self, reasons: &[Attention]) {
        let reasons: Vec<String> = reasons.iter().map(ActiveEnum::to_value).collect();
        self.attention = Some(reasons).filter(|reasons| !reasons.is_empty());
    }
}

impl ActiveModelBehavior for ActiveModel {}
