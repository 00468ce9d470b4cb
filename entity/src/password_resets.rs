//! Table `password_resets`: the codes with which users set a new password.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, UserId};

/// A code, which can be used once. Only its SHA-256 is stored. A user has at most one.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "password_resets")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    pub code_hash: Vec<u8>,
    /// Whether the use also enables the user. True for a code of the platform.
    pub enables: bool,
    pub created_at: DateTimeUtc,
    pub expires_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
