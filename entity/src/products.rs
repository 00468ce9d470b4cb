//! Table `products`: the catalogue.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, Metadata, Money, Picture, PictureId, ProductId};

/// A catalogue item with its list price.
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
    /// An inactive product cannot be bought.
    pub active: bool,
    /// Whether any sale, past ones included, has the product.
    pub in_sale: bool,
    pub metadata: Option<Metadata>,
    /// A picture at another server.
    pub image_url: Option<String>,
    /// The uploaded picture. The columns `picture_…` are null together.
    pub picture_id: Option<PictureId>,
    pub picture_width: Option<i32>,
    pub picture_height: Option<i32>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    #[sea_orm(has_one)]
    pub inventory: HasOne<super::inventory::Entity>,
}

impl Model {
    /// The uploaded picture.
    #[must_use]
    pub fn picture(&self) -> Option<Picture> {
        Some(Picture {
            id: self.picture_id?,
            width: self.picture_width?,
            height: self.picture_height?,
        })
    }
}

impl ActiveModelBehavior for ActiveModel {}
