//! Table `users`: the people who log in, with their roles.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{BusinessId, CustomerId, UserId};

/// The role of a caller in their business.
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
pub enum Role {
    /// May do everything in its business.
    Admin,
    /// Sells, takes payments, fulfils, adjusts stock. May not manage users, API keys or credit limits.
    Staff,
    /// Reads and changes only its own orders, balance and profile.
    Customer,
}

/// An Argon2id hash in PHC format. Its debug output hides the hash.
#[derive(Clone, PartialEq, Eq, DeriveValueType)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(not shown)")
    }
}

/// A user. `email` is in lower case and unique in the business.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub business_id: BusinessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserId,
    pub email: String,
    pub name: String,
    pub password_hash: PasswordHash,
    pub role: Role,
    pub customer_id: Option<CustomerId>,
    pub created_at: DateTimeUtc,
    pub disabled_at: Option<DateTimeUtc>,
    /// Rises with every change that must invalidate the user's earlier tokens.
    pub version: i32,
    pub version_changed_at: Option<DateTimeUtc>,
    pub updated_at: DateTimeUtc,
    /// When the user was deleted: address, name and password are then replaced, and the user is disabled.
    pub deleted_at: Option<DateTimeUtc>,
    /// The login that the last change of the password did not end.
    pub kept_login: Option<Uuid>,
    /// The first version at which access tokens of that login stay valid.
    pub kept_from_version: Option<i32>,
    /// The user's version after that change. At any other version the login is not kept.
    pub kept_at_version: Option<i32>,
}

impl Model {
    /// The login whose access tokens stay valid although an earlier version is theirs, and the first such version.
    #[must_use]
    pub fn kept(&self) -> Option<(Uuid, i32)> {
        let at = self.kept_at_version;
        kept(self.version, self.kept_login, self.kept_from_version, at)
    }
}

/// [`Model::kept`] of these columns.
#[must_use]
pub fn kept(
    version: i32,
    login: Option<Uuid>,
    from_version: Option<i32>,
    at_version: Option<i32>,
) -> Option<(Uuid, i32)> {
    login
        .zip(from_version)
        .filter(|_| at_version == Some(version))
}

impl ActiveModelBehavior for ActiveModel {}
