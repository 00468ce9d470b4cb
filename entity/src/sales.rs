//! Sales with a start and an end.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{BusinessId, SaleId};

/// Where a sale stands at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SaleState)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Upcoming,
    Open,
    Closed,
}

/// What a sale means outside its window.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = SaleKind)]
pub enum Kind {
    /// The list price holds.
    Discount,
    /// Its products are not sold.
    Exclusive,
}

/// A sale, open from `opens_at` until `closes_at`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sales")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SaleId,
    pub name: String,
    pub kind: Kind,
    pub opens_at: DateTimeUtc,
    pub closes_at: DateTimeUtc,
    /// How many of each of its products one customer may buy and hold in it.
    pub limit_per_customer: Option<i32>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    #[sea_orm(has_many)]
    pub sale_products: HasMany<super::sale_products::Entity>,
}

impl State {
    /// What a sale with these times is now: open from the first moment on, closed from the last on.
    #[must_use]
    pub fn at(now: DateTimeUtc, opens_at: DateTimeUtc, closes_at: DateTimeUtc) -> Self {
        if now < opens_at {
            Self::Upcoming
        } else if now < closes_at {
            Self::Open
        } else {
            Self::Closed
        }
    }
}

impl ActiveModelBehavior for ActiveModel {}
