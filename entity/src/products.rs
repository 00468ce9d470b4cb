//! The catalogue.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, Money, ProductId};

/// What is sold and for how much.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "products")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ProductId,
    pub sku: String,
    pub name: String,
    pub description: Option<String>,
    pub price: Money,
    pub limit_per_customer: Option<i32>,
    /// A product that is not active cannot be bought.
    pub active: bool,
    /// Whether a sale has it, in whatever state.
    pub in_sale: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    #[sea_orm(has_one)]
    pub inventory: HasOne<super::inventory::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
