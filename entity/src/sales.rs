//! Table `sales`: timed sales, with a start and an end.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{BusinessId, SaleId};

/// The state of a timed sale at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SaleState)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Upcoming,
    Open,
    Closed,
}

/// The kind of a timed sale: its rule outside the window.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = SaleKind)]
pub enum Kind {
    /// Its products are sold at the list price.
    Discount,
    /// Its products are not sold.
    Exclusive,
}

/// A timed sale, open from `opens_at` (inclusive) to `closes_at` (exclusive).
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
    /// The most units of each product that one customer may buy and hold in the sale. `None` means no limit.
    pub limit_per_customer: Option<i32>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    #[sea_orm(has_many)]
    pub sale_products: HasMany<super::sale_products::Entity>,
}

impl State {
    /// The state at `now`: open from `opens_at` on, closed from `closes_at` on.
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
