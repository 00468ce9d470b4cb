//! Table `sessions`: the logins of browsers.

use sea_orm::entity::prelude::*;

use crate::{BusinessId, SessionId, UserId};

/// A login of a browser. Only the SHA-256 of its cookie's value is stored.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SessionId,
    pub user_id: UserId,
    /// The user's version at the login.
    pub user_version: i32,
    pub token_hash: Vec<u8>,
    /// The start of what the browser said that it is.
    pub user_agent: Option<String>,
    pub created_at: DateTimeUtc,
    /// The time of a recent request. It is written at most every few minutes.
    pub last_used_at: DateTimeUtc,
    pub expires_at: DateTimeUtc,
    pub ended_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
