//! A view: what is held of a product, and who waits for it.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, ProductId};

/// The sums of the items of reservations for one product. Products of which nothing is held and for which nobody waits
/// have no row.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "held_stock")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub product_id: ProductId,
    /// Held units, those too that have expired: what the inventory row says.
    pub reserved: i64,
    /// Places in the waitlist, likewise.
    pub places: i64,
    /// Held units that have not expired.
    pub held: i64,
    /// Places in the waitlist that have not expired.
    pub waiting: i64,
}

impl ActiveModelBehavior for ActiveModel {}
