//! What each role may do, by operation id: the endpoint table as a look-up. Pages show only what their reader may use.

use std::collections::HashMap;

use entity::users::Role;

use crate::schema::endpoint::{Table, Who};

/// The callers that each operation accepts.
#[derive(Debug)]
pub struct Permissions(HashMap<&'static str, Who>);

impl Permissions {
    /// The permissions of all endpoints, pages and actions.
    #[must_use]
    pub fn of(table: &Table) -> Self {
        let all = table.endpoints().chain(table.pages());
        Self(
            all.map(|endpoint| (endpoint.operation_id, endpoint.who))
                .collect(),
        )
    }

    /// Whether the operation exists and accepts callers with this role.
    #[must_use]
    pub fn allow(&self, role: Role, operation_id: &str) -> bool {
        match self.0.get(operation_id) {
            Some(Who::Roles(roles)) => roles.contains(&role),
            Some(Who::Public | Who::PublicOf | Who::Any) => true,
            Some(Who::Platform | Who::Local) | None => false,
        }
    }
}
