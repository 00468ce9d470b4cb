//! Table `product_pictures`: the pictures of products, in each size.

use sea_orm::entity::prelude::*;

use crate::picture::PictureSize;
use crate::{BusinessId, PictureId, ProductId};

/// A picture in one size.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "product_pictures")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PictureId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub size: PictureSize,
    pub product_id: ProductId,
    /// The SHA-256 of the file that was uploaded.
    pub upload_hash: Vec<u8>,
    /// A JPEG file; `None` if it is in the folder of pictures.
    pub bytes: Option<Vec<u8>>,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
