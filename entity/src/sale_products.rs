//! Table `sale_products`: the products of timed sales.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, Money, ProductId, SaleId};

/// A product of a timed sale.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sale_products")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub sale_id: SaleId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub product_id: ProductId,
    /// The price while the sale is open; `None` means the list price.
    pub price: Option<Money>,
    #[sea_orm(belongs_to, from = "(business_id, sale_id)", to = "(business_id, id)")]
    pub sale: BelongsTo<super::sales::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
