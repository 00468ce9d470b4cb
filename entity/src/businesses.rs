//! Tenants.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, Currency};

/// A business. Its slug and its currency never change: documents and links rest on them.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "businesses")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BusinessId,
    pub slug: String,
    pub name: String,
    pub currency: Currency,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
