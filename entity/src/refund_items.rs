//! Table `refund_items`: the items of refunds by item. Append-only.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, ProductId, RefundId};

/// One product of a refund.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refund_items")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub refund_id: RefundId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub product_id: ProductId,
    pub quantity: i64,
}

impl ActiveModelBehavior for ActiveModel {}
