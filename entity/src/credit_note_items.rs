//! Table `credit_note_items`: the returned items of credit notes. Append-only.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, CreditNoteId, ProductId};

/// One product of a credit note.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credit_note_items")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub credit_note_id: CreditNoteId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub product_id: ProductId,
    pub quantity: i64,
}

impl ActiveModelBehavior for ActiveModel {}
