//! What is asked of the payment provider: one intent an order by card.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{BusinessId, Money, OrderId, ReservationId};

/// Where an intent stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = IntentStatus)]
pub enum Status {
    /// The provider is to make it; whether it has is not known.
    Requested,
    /// It can be paid.
    Pending,
    /// It was paid.
    Succeeded,
    /// It was paid, with another amount or in another currency than the order's.
    Mismatched,
    /// The provider is to cancel it.
    Cancelling,
    /// It cannot be paid any more.
    Cancelled,
    /// The provider did not make it.
    Refused,
}

/// An intent. Changed under its order's lock.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payment_intents")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: OrderId,
    /// What holds the order's stock.
    pub reservation_id: ReservationId,
    /// Which provider: see `Provider::name`.
    pub provider: String,
    /// The provider's id of it, as soon as it has told one.
    pub provider_id: Option<String>,
    /// What the buyer's page pays with.
    pub client_secret: Option<String>,
    pub amount: Money,
    pub status: Status,
    /// What the provider said when it did not go well.
    pub failure: Option<String>,
    /// The provider's code of a refusal.
    pub failure_code: Option<String>,
    /// What came of a payment that is not what was asked for, in minor units of its own currency.
    pub received_minor: Option<i64>,
    /// The currency of that, an ISO 4217 code in capitals.
    pub received_currency: Option<String>,
    /// What of that was given back at the provider, in the same units.
    pub returned_minor: i64,
    /// How often the provider's refunds and disputes were read and written here.
    pub readings: i32,
    /// Until when it can be paid.
    pub expires_at: DateTimeUtc,
    /// When something is to be asked of the provider, again or at last.
    pub next_try_at: Option<DateTimeUtc>,
    /// How often it was asked in vain.
    pub tries: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
