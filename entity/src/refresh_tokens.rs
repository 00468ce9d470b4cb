//! Table `refresh_tokens`: the tokens that extend a login.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, RefreshTokenId, UserId};

/// A refresh token, which can be used once. Only its SHA-256 is stored, so that a reader of the table cannot use it.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_tokens")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RefreshTokenId,
    /// The login to which the token belongs.
    pub family_id: Uuid,
    pub user_id: UserId,
    pub token_hash: Vec<u8>,
    pub created_at: DateTimeUtc,
    pub expires_at: DateTimeUtc,
    pub used_at: Option<DateTimeUtc>,
    pub revoked_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
