//! Table `payment_intents`: the payments requested from the payment provider, one intent per order by card.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{BusinessId, Money, OrderId, ReservationId};

/// The status of a payment intent.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = IntentStatus)]
pub enum Status {
    /// The provider is to create the intent. Whether it has done so is not known.
    Requested,
    /// The intent can be paid.
    Pending,
    /// The intent was paid.
    Succeeded,
    /// The intent was paid, with another amount or currency than the order's.
    Mismatched,
    /// The provider is to cancel the intent.
    Cancelling,
    /// The intent can no longer be paid.
    Cancelled,
    /// The provider refused to create the intent.
    Refused,
}

/// A payment intent. Changes need the lock of its order.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payment_intents")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: OrderId,
    /// The reservation that holds the order's stock.
    pub reservation_id: ReservationId,
    /// The provider's name: see `Provider::name`.
    pub provider: String,
    /// The provider's id of the intent; null until the provider has returned one.
    pub provider_id: Option<String>,
    /// The secret with which the buyer's page pays.
    pub client_secret: Option<String>,
    pub amount: Money,
    pub status: Status,
    /// The provider's message of the last failure.
    pub failure: Option<String>,
    /// The provider's code of a refusal.
    pub failure_code: Option<String>,
    /// The received amount of a mismatched payment, in minor units of its own currency.
    pub received_minor: Option<i64>,
    /// The currency of `received_minor`: an ISO 4217 code in capitals.
    pub received_currency: Option<String>,
    /// The part of `received_minor` that was refunded at the provider, in the same units.
    pub returned_minor: i64,
    /// The number of readings of the provider's refunds and disputes that were stored here.
    pub readings: i32,
    /// The end of the time in which the intent can be paid.
    pub expires_at: DateTimeUtc,
    /// When the payment worker asks the provider next; null when nothing is left to ask.
    pub next_try_at: Option<DateTimeUtc>,
    /// The number of failed attempts.
    pub tries: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
