//! Table `api_keys`: the credentials of programs.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ApiKeyId, BusinessId, UserId};

/// The role of an API key. There is no customer role: a key would need a customer, and customers' users log in.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    /// May do everything in its business.
    Admin,
    /// Sells, takes payments, fulfils, adjusts stock. May not manage users, API keys or credit limits.
    Staff,
}

/// An API key. Only its SHA-256 is stored.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ApiKeyId,
    pub name: String,
    pub role: KeyRole,
    /// The start of the key, by which people recognise it.
    pub prefix: String,
    pub key_hash: Vec<u8>,
    pub created_by: UserId,
    pub created_at: DateTimeUtc,
    pub last_used_at: Option<DateTimeUtc>,
    pub revoked_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
