//! Table `search_terms`: the words by which rows of other tables are found.

use sea_orm::entity::prelude::*;

use crate::BusinessId;

/// The kind of row that a term belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Kind {
    Customer,
    /// The whole name of a customer, by which customers are sorted.
    CustomerName,
    Order,
    Payment,
    Product,
}

/// A word of a row: without case, accents and punctuation. Deleted and inserted with changes of the row.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "search_terms")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: Kind,
    #[sea_orm(primary_key, auto_increment = false)]
    pub term: String,
    /// The id of the customer, order, payment or product.
    #[sea_orm(primary_key, auto_increment = false)]
    pub entity_id: Uuid,
}

impl ActiveModelBehavior for ActiveModel {}
