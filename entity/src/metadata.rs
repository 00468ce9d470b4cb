//! Free pairs that a business attaches to its rows.

use std::collections::BTreeMap;

use sea_orm::FromJsonQueryResult;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Keys with a value each, for the programs of a business. The service stores them and does not read them. At most
/// [`Metadata::MAX_KEYS`], with keys and values as long as the API permits.
#[derive(
    Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, FromJsonQueryResult, ToSchema,
)]
#[serde(transparent)]
#[schema(example = json!({"channel": "phone"}))]
pub struct Metadata(pub BTreeMap<String, String>);

impl Metadata {
    /// The most keys.
    pub const MAX_KEYS: usize = 50;
    /// The most characters of a key.
    pub const MAX_KEY_LENGTH: usize = 40;
    /// The most characters of a value.
    pub const MAX_VALUE_LENGTH: usize = 500;
}
